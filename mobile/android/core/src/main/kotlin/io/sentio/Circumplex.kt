package io.sentio

import kotlin.math.atan2
import kotlin.math.floor
import kotlin.math.hypot

/** Quadrant and mood word of a point on Russell's circumplex. */
object Circumplex {
    enum class Quadrant { Q1, Q2, Q3, Q4 }

    enum class Mood {
        PLEASANT, HAPPY, UPBEAT, EXCITED, LIVELY, ENERGETIC, RESTLESS, TENSE,
        UNEASY, DISTRESSED, WISTFUL, SAD, QUIET, DROWSY, RELAXED, SERENE, NEUTRAL;

        val word: String get() = name.lowercase()
    }

    /** Eight sectors of 45 degrees, counter-clockwise from pleasant; weak and strong words (Russell 1980). */
    val sectors: List<Pair<Mood, Mood>> =
        (Mood.values().toList() - Mood.NEUTRAL).chunked(2) { (weak, strong) -> weak to strong }

    const val NEUTRAL_RADIUS = 0.1
    const val STRONG_RADIUS = 0.35

    /** Q1 (+,+), Q2 (-,+), Q3 (-,-) or Q4 (+,-); exactly 0 counts as negative. */
    fun quadrant(valence: Double, arousal: Double): Quadrant = when {
        arousal > 0 -> if (valence > 0) Quadrant.Q1 else Quadrant.Q2
        else -> if (valence > 0) Quadrant.Q4 else Quadrant.Q3
    }

    /** A word for the point; neutral near the centre. */
    fun mood(valence: Double, arousal: Double): Mood {
        val radius = hypot(valence, arousal)
        if (radius < NEUTRAL_RADIUS) return Mood.NEUTRAL
        val degrees = Math.toDegrees(atan2(arousal, valence)) + 22.5
        val (weak, strong) = sectors[floor((degrees + 360) % 360 / 45).toInt()]
        return if (radius >= STRONG_RADIUS) strong else weak
    }
}
