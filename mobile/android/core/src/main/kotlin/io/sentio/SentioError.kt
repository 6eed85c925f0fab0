package io.sentio

/**
 * What a user can do something about.
 *
 * [message] is one line: what was expected, what was received, what to do. [kind] lets an app say it in the user's
 * language.
 */
class SentioError(val kind: Kind, override val message: String, cause: Throwable? = null) : Exception(message, cause) {
    enum class Kind {
        /** There is no model where the app looks for it. */
        MODEL_MISSING,

        /** The file is no TFLite model. */
        NO_MODEL,

        /** The model is cut short or damaged. */
        MODEL_DAMAGED,

        /** The model has no card, or one that does not parse or holds a wrong value. */
        CARD,

        /** The card has a newer schema than this code. */
        CARD_SCHEMA,

        /** The runtime does not load the model, or its signature is not what its card promises. */
        MODEL_UNUSABLE,

        /** The model answered NaN or failed on a window. */
        MODEL_FAILED,

        /** The file cannot be decoded. */
        UNSUPPORTED,

        /** The file is copy-protected. */
        PROTECTED,

        /** The file cannot be read any more. */
        UNREADABLE,

        /** The samples are NaN, infinite or far outside [-1, 1]. */
        NO_AUDIO,

        /** There is not a single sample. */
        EMPTY,

        /** Every window is silent. */
        SILENT,

        /** One channel is the inverse of the other, so that mono is silent. */
        CANCELLED_OUT,

        /** The microphone gives nothing. */
        MICROPHONE,
    }
}
