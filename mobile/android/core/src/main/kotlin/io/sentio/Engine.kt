package io.sentio

import java.io.Closeable

/** A loaded model: judges windows, one after the other, on whatever runtime there is. */
interface Engine : Closeable {
    val card: Card

    /**
     * One window, `card.audio.samples` of them.
     *
     * Throws [SentioError] if the model fails or answers NaN.
     */
    fun run(samples: FloatArray): Answer
}

/** One standard deviation of valence and arousal. */
data class Deviation(val valence: Double, val arousal: Double)

/**
 * Of one window: [valence] and [arousal] in [-1, 1], and what the model has beside them: [std] of these two and the
 * [distance] from the training music.
 */
data class Answer(
    val valence: Double,
    val arousal: Double,
    val std: Deviation? = null,
    val distance: Double? = null,
) {
    companion object {
        /** From the outputs of a model by name. Throws [SentioError] if one of them is not finite. */
        fun of(outputs: Map<String, FloatArray>, signature: Card.Signature): Answer {
            val named = signature.outputs.associateWith(outputs::getValue)
            if (!named.values.all { values -> values.all { it.isFinite() } }) {
                throw SentioError(
                    SentioError.Kind.MODEL_FAILED,
                    "expected finite answers of the model, received NaN; export the model again",
                )
            }
            val (valence, arousal) = named.getValue(signature.output)
            return Answer(
                valence.toDouble(),
                arousal.toDouble(),
                named[signature.deviation]?.let { Deviation(it[0].toDouble(), it[1].toDouble()) },
                named[signature.distance]?.get(0)?.toDouble(),
            )
        }
    }
}
