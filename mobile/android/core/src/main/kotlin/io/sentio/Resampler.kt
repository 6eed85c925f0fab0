package io.sentio

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin
import kotlin.math.sqrt

/**
 * A stream of mono samples from [rateIn] to [rateOut] Hz; memory does not grow.
 *
 * A windowed sinc: sample n of the output lies at p = n rateIn / rateOut of the input and is the sum over the `taps`
 * samples k around it of x[[k]] h(p - k), divided by the sum of these h, with
 * h(t) = sinc(cutoff min(1, rateOut / rateIn) t) I0(beta sqrt(1 - (t / w)^2)), w = (taps - 1) / 2.
 */
class Resampler(rateIn: Int, rateOut: Int, private val kernel: Card.Kernel) {
    private val up: Int
    private val down: Int
    private val half = (kernel.taps - 1) / 2
    private val rows = HashMap<Int, DoubleArray>()
    private var heard = 0L // input samples
    private var made = 0L // output samples
    private var first = -half.toLong() // index in the input of buffer[0]; before the file lies silence
    private var buffer = FloatArray(half)

    init {
        if (rateIn <= 0 || rateOut <= 0) {
            throw SentioError(
                SentioError.Kind.NO_AUDIO,
                "expected sample rates in Hz, received $rateIn and $rateOut; convert the file",
            )
        }
        val shared = gcd(rateIn, rateOut)
        up = rateOut / shared
        down = rateIn / shared
    }

    /** Samples held back until what follows is known. */
    val held: Int get() = buffer.size

    /** What can be known now that [samples] have been heard. */
    fun push(samples: FloatArray): FloatArray {
        if (up == down) return samples
        heard += samples.size
        append(samples)
        return until(Math.floorDiv((heard - 1 - half) * up, down.toLong()) + 1)
    }

    /** The rest; behind the file lies silence. */
    fun finish(): FloatArray {
        if (up == down) return FloatArray(0)
        append(FloatArray(half + 1))
        return until((2 * heard * up + down) / (2L * down))
    }

    private fun append(samples: FloatArray) {
        val joined = buffer.copyOf(buffer.size + samples.size)
        samples.copyInto(joined, buffer.size)
        buffer = joined
    }

    private fun until(end: Long): FloatArray {
        val out = FloatArray(max(0L, end - made).toInt())
        for (i in out.indices) {
            val position = (made + i) * down
            val start = (position / up - half - first).toInt()
            out[i] = product(weights((position % up).toInt()), start)
        }
        made += out.size
        val keep = min(made * down / up - half - first, buffer.size.toLong()).toInt()
        if (keep > 0) {
            buffer = buffer.copyOfRange(keep, buffer.size)
            first += keep
        }
        return out
    }

    /** Sum of the samples from [start] on times [weights]; four sums at once, one alone waits for its last addition. */
    private fun product(weights: DoubleArray, start: Int): Float {
        var a = 0.0
        var b = 0.0
        var c = 0.0
        var d = 0.0
        var k = 0
        while (k + 3 < weights.size) {
            a += buffer[start + k] * weights[k]
            b += buffer[start + k + 1] * weights[k + 1]
            c += buffer[start + k + 2] * weights[k + 2]
            d += buffer[start + k + 3] * weights[k + 3]
            k += 4
        }
        while (k < weights.size) a += buffer[start + k] * weights[k++]
        return (a + b + c + d).toFloat()
    }

    /** Of the samples around an output whose place has the fraction [numerator] / up. */
    private fun weights(numerator: Int): DoubleArray {
        rows[numerator]?.let { return it }
        val scale = kernel.cutoff * min(1.0, up.toDouble() / down)
        val found = DoubleArray(kernel.taps) { k ->
            val t = numerator.toDouble() / up - (k - half)
            val inside = 1 - (t / half) * (t / half)
            if (abs(t) <= half) sinc(scale * t) * bessel(kernel.beta * sqrt(max(0.0, inside))) else 0.0
        }
        val sum = found.sum()
        for (k in found.indices) found[k] /= sum
        if (up <= TABLE) rows[numerator] = found
        return found
    }
}

/** A whole recording at once. */
fun resample(samples: FloatArray, rateIn: Int, rateOut: Int, kernel: Card.Kernel): FloatArray {
    val stream = Resampler(rateIn, rateOut, kernel)
    return stream.push(samples) + stream.finish()
}

// Rows at most; rates with a smaller common divisor compute their weights anew.
private const val TABLE = 2048

private tailrec fun gcd(a: Int, b: Int): Int = if (b == 0) a else gcd(b, a % b)

private fun sinc(x: Double): Double = if (x == 0.0) 1.0 else sin(PI * x) / (PI * x)

/** Modified Bessel function of order 0: its power series, which converges for every argument. */
private fun bessel(x: Double): Double {
    var term = 1.0
    var sum = 1.0
    var k = 1
    while (term > 1e-17 * sum) {
        val factor = x / (2 * k++)
        term *= factor * factor
        sum += term
    }
    return sum
}
