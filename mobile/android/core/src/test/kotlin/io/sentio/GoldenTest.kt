package io.sentio

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

/** Every step on the golden files that `sentio-tf export golden` writes. */
class GoldenTest {
    @Test
    fun downmix() {
        for (case in Golden.json("downmix.json").list("cases")) {
            val channels = (case["channels"] as List<*>).map { it.numbers().map(Double::toFloat).toFloatArray() }
            val expected = case.numbers("mono").map(Double::toFloat).toFloatArray()
            assertArrayEquals(expected, downmix(channels.toTypedArray()), 1e-6f)
        }
    }

    @Test
    fun resampler() {
        val golden = Golden.json("resampler.json")
        val kernel = Card.parse(Golden.card("resampler" to golden.tree("resampler"))).kernel
        for (case in golden.list("cases")) {
            val found = resample(Golden.floats(case.text("in")), case.int("rate_in"), case.int("rate_out"), kernel)
            assertArrayEquals(Golden.floats(case.text("out")), found, golden.number("tolerance").toFloat())
        }
    }

    @Test
    fun windows() {
        val golden = Golden.json("windows.json")
        val (rate, size) = golden.int("rate") to golden.int("size")
        for (case in golden.list("cases")) {
            val samples = case.int("samples")
            val cutter = Windows(size, golden.number("hop_s"), rate, golden.number("min_tail_s"))
            val found = ArrayList<Window>()
            for (at in 0 until samples step rate) {
                // Sample i is i, so that a window shows where it comes from (whole numbers up to 2^24 are exact).
                found += cutter.push(FloatArray(minOf(rate, samples - at)) { (at + it).toFloat() })
                assertTrue(cutter.held <= 2 * size + rate, "two windows at most")
            }
            found += cutter.finish()
            val places = (case["windows"] as List<*>).map { it.numbers() }
            assertEquals(places, found.map { listOf(Math.rint(it.startS * rate), Math.rint(it.endS * rate)) }, "$samples")
            assertEquals(case["repeated"], found[0].repeated)
            for ((window, place) in found.zip(places)) {
                assertEquals(size, window.samples.size)
                assertEquals(place[0].toFloat(), window.samples[0])
                val last = if (window.repeated) ((size - 1) % samples).toDouble() else place[1] - 1
                assertEquals(last.toFloat(), window.samples.last())
            }
        }
    }

    @Test
    fun circumplex() {
        val golden = Golden.json("circumplex.json")
        assertEquals(Circumplex.NEUTRAL_RADIUS, golden.number("neutral_radius"))
        assertEquals(Circumplex.STRONG_RADIUS, golden.number("strong_radius"))
        assertEquals(golden["sectors"], Circumplex.sectors.map { (weak, strong) -> listOf(weak.word, strong.word) })
        for (case in golden["cases"] as List<*>) {
            val (valence, arousal, quadrant, mood) = case as List<*>
            valence as Double
            arousal as Double
            assertEquals(quadrant, Circumplex.quadrant(valence, arousal).name, "$valence, $arousal")
            assertEquals(mood, Circumplex.mood(valence, arousal).word, "$valence, $arousal")
        }
    }

    @Test
    fun benchmark() {
        for (case in Golden.json("benchmark.json").list("cases")) {
            val found = checkNotNull(Benchmark.times(case.numbers("ms")))
            assertEquals(case.number("median_ms"), found.medianMs, 1e-3)
            assertEquals(case.number("p95_ms"), found.p95Ms, 1e-3)
            assertEquals(case.int("runs"), found.runs)
        }
        assertNull(Benchmark.times(emptyList()))
    }

    @Test
    fun `golden waveform, bit by bit`() {
        val golden = Golden.json("answers.json").tree("waveform")
        val found = Benchmark.goldenWaveform(golden.int("samples"), golden.int("sample_rate"))
        val bytes = ByteBuffer.allocate(4 * found.size).order(ByteOrder.LITTLE_ENDIAN)
        bytes.asFloatBuffer().put(found)
        val digest = MessageDigest.getInstance("SHA-256").digest(bytes.array())
        assertEquals(golden.text("sha256"), digest.joinToString("") { "%02x".format(it) })
    }

    @Test
    fun `a song becomes the golden timeline`() {
        val golden = Golden.json("answers.json").tree("timeline")
        val expected = golden.list("segments")
        val card = Card.parse(Golden.text("card.json"))
        val answers = expected.iterator()
        val engine = FakeEngine(card) {
            answers.next().let { Answer(it.number("valence"), it.number("arousal"), distance = 1.0) }
        }
        val analyzer = Analyzer(engine, card.audio.sampleRate)
        val sound = Benchmark.goldenWaveform(golden.int("samples"), card.audio.sampleRate)
        for (at in sound.indices step 4096) {
            analyzer.push(arrayOf(sound.copyOfRange(at, minOf(at + 4096, sound.size))))
        }
        analyzer.finish()
        val segments = analyzer.timeline.segments
        assertEquals(
            expected.map { it.number("start_s") to it.number("end_s") },
            segments.map { Math.rint(it.startS * 1e6) / 1e6 to Math.rint(it.endS * 1e6) / 1e6 },
        )
        val song = checkNotNull(analyzer.timeline.song())
        assertEquals(golden.number("valence"), song.valence, 1e-6)
        assertEquals(golden.number("arousal"), song.arousal, 1e-6)
    }
}
