package io.sentio.app

import io.sentio.Circumplex.Mood
import io.sentio.SentioError.Kind
import io.sentio.Warning

/** What a user reads, as resources; a case without a text does not compile. */
object Messages {
    fun of(kind: Kind): Int = when (kind) {
        Kind.MODEL_MISSING -> R.string.error_model_missing
        Kind.NO_MODEL, Kind.MODEL_DAMAGED -> R.string.error_model_damaged
        Kind.CARD, Kind.MODEL_UNUSABLE -> R.string.error_model_unusable
        Kind.CARD_SCHEMA -> R.string.error_card_schema
        Kind.MODEL_FAILED -> R.string.error_model_failed
        Kind.UNSUPPORTED, Kind.NO_AUDIO -> R.string.error_unsupported
        Kind.PROTECTED -> R.string.error_protected
        Kind.UNREADABLE -> R.string.error_unreadable
        Kind.EMPTY -> R.string.error_empty
        Kind.SILENT -> R.string.error_silent
        Kind.CANCELLED_OUT -> R.string.error_cancelled_out
        Kind.MICROPHONE -> R.string.error_microphone
    }

    fun of(mood: Mood): Int = when (mood) {
        Mood.PLEASANT -> R.string.mood_pleasant
        Mood.HAPPY -> R.string.mood_happy
        Mood.UPBEAT -> R.string.mood_upbeat
        Mood.EXCITED -> R.string.mood_excited
        Mood.LIVELY -> R.string.mood_lively
        Mood.ENERGETIC -> R.string.mood_energetic
        Mood.RESTLESS -> R.string.mood_restless
        Mood.TENSE -> R.string.mood_tense
        Mood.UNEASY -> R.string.mood_uneasy
        Mood.DISTRESSED -> R.string.mood_distressed
        Mood.WISTFUL -> R.string.mood_wistful
        Mood.SAD -> R.string.mood_sad
        Mood.QUIET -> R.string.mood_quiet
        Mood.DROWSY -> R.string.mood_drowsy
        Mood.RELAXED -> R.string.mood_relaxed
        Mood.SERENE -> R.string.mood_serene
        Mood.NEUTRAL -> R.string.mood_neutral
    }

    fun of(warning: Warning): Int = when (warning) {
        Warning.REPEATED -> R.string.warning_repeated
        Warning.SILENT_WINDOWS -> R.string.warning_silent_windows
        Warning.LOW_RATE -> R.string.warning_low_rate
        Warning.OUT_OF_DOMAIN -> R.string.warning_out_of_domain
    }
}
