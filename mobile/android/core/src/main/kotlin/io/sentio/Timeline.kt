package io.sentio

import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.max

/** One window of the timeline, from [startS] to [endS] [s]. */
data class Segment(val startS: Double, val endS: Double, val answer: Answer) {
    val valence: Double get() = answer.valence
    val arousal: Double get() = answer.arousal
    val middleS: Double get() = (startS + endS) / 2
}

/** The window that is heard at [seconds]: of those that hold it the one whose middle is nearest. */
fun List<Segment>.at(seconds: Double): Segment? = minByOrNull { abs(it.middleS - seconds) }

/**
 * The answer for a song. [std] is how far it may be off, null where the model cannot tell; [inDomain] says whether it
 * sounds like the training music, null where the model has no distance.
 */
data class Song(
    val valence: Double,
    val arousal: Double,
    val std: Deviation?,
    val quadrant: Circumplex.Quadrant,
    val mood: Circumplex.Mood,
    val inDomain: Boolean?,
)

/** What a user should know about an answer. */
enum class Warning { REPEATED, SILENT_WINDOWS, LOW_RATE, OUT_OF_DOMAIN }

/** Answers to windows in the order of time, and the answer of all together. */
class Timeline(private val card: Card) {
    private val found = ArrayList<Segment>()

    /** Rate of the sound [Hz], 0 while it is not known. */
    var sampleRate = 0
        internal set

    /** Length of the sound that was heard [s]. */
    var durationS = 0.0
        internal set

    val model: String get() = card.name
    val segments: List<Segment> get() = found

    /** Windows that held nothing. */
    var silent = 0
        private set
    private var repeated = false

    /** [answer] is null for a silent window. */
    internal fun add(window: Window, answer: Answer?): Segment? {
        repeated = repeated || window.repeated
        if (answer == null) {
            silent++
            return null
        }
        return Segment(window.startS, window.endS, answer).also { found += it }
    }

    /**
     * Mean of the windows that are not silent; the standard deviation is their geometric mean, or the card's.
     * Null where all were silent.
     */
    fun song(): Song? {
        if (found.isEmpty()) return null
        val valence = found.map { it.valence }.average()
        val arousal = found.map { it.arousal }.average()
        val distances = found.mapNotNull { it.answer.distance }
        val threshold = card.threshold
        return Song(
            valence,
            arousal,
            deviation() ?: card.uncertainty,
            Circumplex.quadrant(valence, arousal),
            Circumplex.mood(valence, arousal),
            if (distances.isEmpty() || threshold == null) null else distances.average() <= threshold,
        )
    }

    fun warnings(): List<Warning> = listOfNotNull(
        Warning.REPEATED.takeIf { repeated },
        Warning.SILENT_WINDOWS.takeIf { silent > 0 },
        Warning.LOW_RATE.takeIf { sampleRate in 1 until LOW_RATE },
        Warning.OUT_OF_DOMAIN.takeIf { song()?.inDomain == false },
    )

    /** What `sentio-tf predict --format json` prints of a song: the same names, plain numbers. */
    fun toJson(path: String, withTimeline: Boolean = true): String {
        val song = song()
        val values = linkedMapOf(
            "path" to path,
            "model" to model,
            "valence" to song?.valence,
            "arousal" to song?.arousal,
            "valence_std" to song?.std?.valence,
            "arousal_std" to song?.std?.arousal,
            "quadrant" to song?.quadrant?.name,
            "mood" to song?.mood?.word,
            "duration_s" to durationS,
            "windows" to found.size + silent,
            "in_domain" to song?.inDomain,
            "warnings" to warnings().map { it.name.lowercase() },
        )
        if (withTimeline) {
            values["timeline"] = found.map { (startS, endS, answer) ->
                linkedMapOf(
                    "start_s" to startS,
                    "end_s" to endS,
                    "valence" to answer.valence,
                    "arousal" to answer.arousal,
                )
            }
        }
        return Json.write(values)
    }

    private fun deviation(): Deviation? {
        val all = found.map { it.answer.std ?: return null }
        fun geometric(of: (Deviation) -> Double) = exp(all.map { ln(max(of(it), 1e-6)) }.average())
        return Deviation(geometric { it.valence }, geometric { it.arousal })
    }
}

// Below it the music lacks bands that the model listens to [Hz].
private const val LOW_RATE = 16_000
