package io.sentio

/** Latency of a window. */
object Benchmark {
    /** Median and 95 % quantile [ms] of [runs] times. */
    data class Times(val medianMs: Double, val p95Ms: Double, val runs: Int)

    /** Quantiles are linear between neighbours, as numpy's; null for no times. */
    fun times(ms: List<Double>): Times? {
        if (ms.isEmpty()) return null
        val sorted = ms.sorted()
        fun at(share: Double): Double {
            val place = share * (sorted.size - 1)
            val low = place.toInt()
            val high = minOf(low + 1, sorted.size - 1)
            return sorted[low] + (place - low) * (sorted[high] - sorted[low])
        }
        return Times(at(0.5), at(0.95), sorted.size)
    }

    /** The waveform whose answer the card states: integers only, so that every language makes the same samples. */
    fun goldenWaveform(samples: Int, sampleRate: Int): FloatArray {
        val steps = longArrayOf(131, 165, 196, 262).map { 65536 * it / sampleRate }
        return FloatArray(samples) { i ->
            val envelope = 8192 - 8192L * (i % sampleRate) / sampleRate
            var total = 0L
            for (step in steps) total += (i * step % 65536 - 32768) * envelope
            (total / 2147483648.0).toFloat()
        }
    }

    /**
     * [runs] answers to the golden waveform after one that warms up.
     *
     * [onRun] is told how many are done and returns false to stop: then the result is null.
     */
    fun measure(
        engine: Engine,
        runs: Int,
        nanoTime: () -> Long = System::nanoTime,
        onRun: (Int) -> Boolean = { true },
    ): Times? {
        require(runs > 0) { "expected at least one run, received $runs" }
        val waveform = goldenWaveform(engine.card.audio.samples, engine.card.audio.sampleRate)
        engine.run(waveform)
        val ms = ArrayList<Double>()
        while (ms.size < runs) {
            if (!onRun(ms.size)) return null
            val began = nanoTime()
            engine.run(waveform)
            ms += (nanoTime() - began) / 1e6
        }
        onRun(runs)
        return times(ms)
    }
}
