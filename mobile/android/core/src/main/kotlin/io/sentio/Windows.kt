package io.sentio

import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

/** [samples] of the song from [startS] to [endS] [s]; [repeated] if the song was shorter than a window. */
class Window(val startS: Double, val endS: Double, val samples: FloatArray, val repeated: Boolean)

/**
 * A stream of samples to windows of [size]. Windows start at 0, hop, 2 hop, ... as long as they fit; if more than
 * [minTailS] is left, one more ends with the file; a file shorter than a window is repeated to fill one.
 *
 * Two windows are held at most.
 */
class Windows(private val size: Int, hopS: Double, private val sampleRate: Int, private val minTailS: Double) {
    private val hop = (hopS * sampleRate).roundToInt()
    private var buffer = FloatArray(0)
    private val pending = ArrayList<FloatArray>() // behind it, joined only when a window is complete
    private var first = 0L // index in the file of buffer[0]
    private var start = 0L // index in the file of the next window
    private var covered = 0L

    /** Samples heard. */
    var total = 0L
        private set

    init {
        require(hop in 1..size) {
            "expected a hop of more than 0 and at most ${size.toDouble() / sampleRate} s, received $hopS"
        }
    }

    constructor(card: Card) : this(card.audio.samples, card.windows.hopS, card.audio.sampleRate, card.windows.minTailS)

    /** Samples that are held. */
    val held: Int get() = buffer.size + pending.sumOf { it.size }

    /** The windows that [samples] complete. [samples] must not change afterwards. */
    fun push(samples: FloatArray): List<Window> {
        if (samples.isEmpty()) return emptyList()
        pending += samples
        total += samples.size
        if (total < start + size) return emptyList()
        join()
        val found = ArrayList<Window>()
        while (total >= start + size) {
            found += cut(start)
            covered = start + size
            start += hop
        }
        // The last window may begin up to one hop before the next start: keep that much.
        val keep = max(0, min(start, total - size) - hop)
        if (keep > first) {
            buffer = buffer.copyOfRange((keep - first).toInt(), buffer.size)
            first = keep
        }
        return found
    }

    /** The window that ends with the file, if one is due. */
    fun finish(): List<Window> {
        if (total == 0L) return emptyList()
        join()
        if (covered == 0L) {
            val samples = FloatArray(size) { buffer[it % buffer.size] }
            return listOf(Window(0.0, total.toDouble() / sampleRate, samples, repeated = total < size))
        }
        return if (total - covered > minTailS * sampleRate) listOf(cut(total - size)) else emptyList()
    }

    private fun join() {
        var at = buffer.size
        val joined = buffer.copyOf(held)
        for (part in pending) {
            part.copyInto(joined, at)
            at += part.size
        }
        buffer = joined
        pending.clear()
    }

    private fun cut(begin: Long): Window {
        val from = (begin - first).toInt()
        val samples = buffer.copyOfRange(from, from + size)
        return Window(begin.toDouble() / sampleRate, (begin + size).toDouble() / sampleRate, samples, repeated = false)
    }
}
