package io.sentio

import kotlin.math.max
import kotlin.math.min

/** Where points of the circumplex lie in a view of [width] x [height] pixels with [padding] around its square. */
class CircumplexGeometry(width: Float, height: Float, padding: Float) {
    /** Half the side of the square. */
    val radius: Float = max(0f, min(width, height) / 2 - padding)
    val centreX: Float = width / 2
    val centreY: Float = height / 2

    fun x(valence: Double): Float = centreX + radius * valence.coerceIn(-1.0, 1.0).toFloat()

    /** Energetic is up. */
    fun y(arousal: Double): Float = centreY - radius * arousal.coerceIn(-1.0, 1.0).toFloat()
}

/** Where times and values lie in a plot from ([left], [top]) to ([right], [bottom]) pixels of [durationS] seconds. */
class TimelineGeometry(
    private val left: Float,
    private val top: Float,
    private val right: Float,
    private val bottom: Float,
    private val durationS: Double,
) {
    private val length = if (durationS > 0) durationS else 1.0

    fun x(seconds: Double): Float = left + (right - left) * (seconds / length).coerceIn(0.0, 1.0).toFloat()

    fun seconds(x: Float): Double =
        if (right > left) length * ((x - left) / (right - left)).coerceIn(0f, 1f) else 0.0

    /** -1 is the bottom, +1 the top. */
    fun y(value: Double): Float = (top + bottom) / 2 - (bottom - top) / 2 * value.coerceIn(-1.0, 1.0).toFloat()

    /** Round times [s] from 0 on, at least [spacing] pixels apart. */
    fun ticks(spacing: Float): List<Double> {
        if (durationS <= 0 || right <= left) return listOf(0.0)
        val fewest = spacing / (right - left) * durationS
        val hours = generateSequence(3600.0) { it * 2 }
        val step = (STEPS.asSequence() + hours).first { it >= fewest }
        return generateSequence(0.0) { it + step }.takeWhile { it <= durationS }.toList()
    }

    companion object {
        private val STEPS = listOf(1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0)

        /** 75 -> "1:15", 3675 -> "1:01:15". */
        fun clock(seconds: Double): String {
            val whole = max(0.0, seconds).toLong()
            val (hours, minutes) = whole / 3600 to whole / 60 % 60
            fun two(n: Long) = n.toString().padStart(2, '0')
            return if (hours > 0) "$hours:${two(minutes)}:${two(whole % 60)}" else "$minutes:${two(whole % 60)}"
        }
    }
}
