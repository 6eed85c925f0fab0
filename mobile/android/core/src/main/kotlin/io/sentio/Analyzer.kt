package io.sentio

import kotlin.math.abs
import kotlin.math.max

/**
 * Sound at its own rate to a growing timeline: downmix, resampler, windows, model.
 *
 * A new one for every song: nothing of one song reaches the next. Memory does not grow with the song.
 */
class Analyzer(private val engine: Engine, sampleRate: Int) {
    private val card = engine.card
    private var rate = sampleRate
    private var resampler = Resampler(sampleRate, card.audio.sampleRate, card.kernel)
    private val windows = Windows(card)
    private var loudest = 0f // in any channel

    val timeline = Timeline(card).also { it.sampleRate = sampleRate }

    /** Samples that are held for what follows. */
    val held: Int get() = resampler.held + windows.held

    /** The next samples of all channels, at [sampleRate] Hz; returns the segments that they complete. */
    fun push(channels: Array<FloatArray>, sampleRate: Int = rate): List<Segment> {
        val mono = downmix(channels)
        channels.forEach(::check)
        val rest = if (sampleRate == rate) FloatArray(0) else changeRate(sampleRate)
        return judge(cut(rest) + cut(resampler.push(mono)))
    }

    /** The end of the song. Throws [SentioError] if there was no sound in it. */
    fun finish(): List<Segment> {
        val segments = judge(cut(resampler.finish()) + windows.finish())
        if (timeline.segments.isNotEmpty()) return segments
        throw when {
            windows.total == 0L ->
                SentioError(SentioError.Kind.EMPTY, "expected audio, received a file without sound; choose another one")
            loudest >= card.windows.silencePeak -> SentioError(
                SentioError.Kind.CANCELLED_OUT,
                "expected music, received channels that cancel each other out in mono (one is inverted); " +
                    "invert it or take one channel",
            )
            else -> SentioError(
                SentioError.Kind.SILENT,
                "expected music, received silence throughout; choose another file",
            )
        }
    }

    /** Some streams change their rate on the way; what was heard so far ends here. */
    private fun changeRate(sampleRate: Int): FloatArray {
        val next = Resampler(sampleRate, card.audio.sampleRate, card.kernel)
        return resampler.finish().also {
            resampler = next
            rate = sampleRate
            timeline.sampleRate = sampleRate
        }
    }

    private fun check(channel: FloatArray) {
        val peak = peak(channel)
        if (!peak.isFinite() || peak > ABSURD_PEAK) {
            val received = if (peak.isFinite()) "a peak of $peak" else "NaN or inf"
            throw SentioError(
                SentioError.Kind.NO_AUDIO,
                "expected samples in [-1, 1], received $received near %.1f s; convert the file".format(
                    java.util.Locale.ROOT,
                    timeline.durationS,
                ),
            )
        }
        loudest = max(loudest, peak)
    }

    private fun cut(samples: FloatArray): List<Window> {
        // The contract of the model's input; overshoot of decoders and filters lies outside.
        val clipped = FloatArray(samples.size) { samples[it].coerceIn(card.audio.low, card.audio.high) }
        return windows.push(clipped).also { timeline.durationS = windows.total.toDouble() / card.audio.sampleRate }
    }

    private fun judge(windows: List<Window>): List<Segment> = windows.mapNotNull { window ->
        val silent = peak(window.samples) < card.windows.silencePeak
        timeline.add(window, if (silent) null else engine.run(window.samples))
    }
}

// Louder than any decoder: integers stored as floats, or no audio at all.
private const val ABSURD_PEAK = 16f

/** Largest magnitude; NaN if there is one. */
private fun peak(samples: FloatArray): Float {
    var peak = 0f
    for (x in samples) peak = max(peak, abs(x))
    return peak
}
