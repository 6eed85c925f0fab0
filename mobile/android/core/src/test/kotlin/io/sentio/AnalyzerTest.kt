package io.sentio

import io.sentio.SentioError.Kind
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.math.abs

class AnalyzerTest {
    private val card = Card.parse(Golden.text("card.json"))
    private val rate = card.audio.sampleRate

    private fun engine(answer: (FloatArray) -> Answer = { Answer(0.0, 0.0) }) = FakeEngine(card, answer)

    private fun refuses(kind: Kind, part: String, use: () -> Unit) {
        val error = assertThrows(SentioError::class.java) { use() }
        assertEquals(kind, error.kind)
        assertTrue(part in error.message, error.message)
    }

    @Test
    fun `an hour of stereo in bounded memory`() {
        val analyzer = Analyzer(engine(), rate)
        val block = FloatArray(rate) { 0.25f }
        repeat(3600) {
            analyzer.push(arrayOf(block, block))
            assertTrue(analyzer.held < 2 * card.audio.samples + rate)
        }
        analyzer.finish()
        assertEquals(239, analyzer.timeline.segments.size)
        assertEquals(3600.0, analyzer.timeline.durationS, 1e-3)
        assertTrue(analyzer.timeline.toJson("hour").length < 30_000)
    }

    @Test
    fun `minutes at another rate in bounded memory`() {
        val analyzer = Analyzer(engine(), 48000)
        val block = FloatArray(4800) { 0.25f }
        repeat(1200) {
            analyzer.push(arrayOf(block, block))
            assertTrue(analyzer.held < 2 * card.audio.samples + rate + 1000)
        }
        analyzer.finish()
        assertEquals(7, analyzer.timeline.segments.size)
        assertEquals(120.0, analyzer.timeline.durationS, 1e-3)
    }

    @Test
    fun `two songs know nothing of each other`() {
        val seen = ArrayList<Float>()
        val engine = engine { window ->
            seen += window.minOf { it }
            seen += window.maxOf { it }
            Answer(0.0, 0.0)
        }
        for (level in listOf(0.25f, -0.5f)) {
            val analyzer = Analyzer(engine, rate)
            analyzer.push(arrayOf(FloatArray(31 * rate) { level }))
            analyzer.finish()
            assertEquals(1, analyzer.timeline.segments.size)
        }
        assertEquals(listOf(0.25f, 0.25f, -0.5f, -0.5f), seen)
    }

    @Test
    fun `segments come as soon as their window is complete`() {
        val analyzer = Analyzer(engine(), rate)
        val counts = (1..50).map { analyzer.push(arrayOf(FloatArray(rate) { 0.1f })).size }
        assertEquals(listOf(30, 45), counts.indices.filter { counts[it] > 0 }.map { it + 1 })
        assertEquals(20.0, analyzer.finish().single().startS, 1e-6)
    }

    @Test
    fun `silence, cancelled channels and nothing at all`() {
        val never = engine { error("silence is not judged") }
        refuses(Kind.EMPTY, "received a file without sound") { Analyzer(never, 44100).finish() }
        refuses(Kind.SILENT, "received silence throughout") {
            Analyzer(never, 44100).apply { push(arrayOf(FloatArray(44100), FloatArray(44100))) }.finish()
        }
        refuses(Kind.CANCELLED_OUT, "cancel each other out") {
            val left = FloatArray(44100) { 0.5f }
            Analyzer(never, 44100).apply { push(arrayOf(left, FloatArray(44100) { -0.5f })) }.finish()
        }
    }

    @Test
    fun `silent windows are left out and counted`() {
        val analyzer = Analyzer(engine { Answer(0.5, -0.5) }, rate)
        analyzer.push(arrayOf(FloatArray(45 * rate)))
        analyzer.push(arrayOf(FloatArray(30 * rate) { 0.1f }))
        analyzer.finish()
        assertEquals(2, analyzer.timeline.silent)
        assertEquals(listOf(30.0, 45.0), analyzer.timeline.segments.map { it.startS })
        assertEquals(listOf(Warning.SILENT_WINDOWS), analyzer.timeline.warnings())
    }

    @Test
    fun `samples that are no audio`() {
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY, 1000f)) {
            val analyzer = Analyzer(engine(), rate)
            analyzer.push(arrayOf(FloatArray(2 * rate), FloatArray(2 * rate)))
            refuses(Kind.NO_AUDIO, "near 2.0 s; convert the file") {
                analyzer.push(arrayOf(floatArrayOf(0f, 0f), floatArrayOf(0f, bad)))
            }
        }
        refuses(Kind.NO_AUDIO, "expected sample rates in Hz") { Analyzer(engine(), 0) }
        assertThrows(IllegalArgumentException::class.java) {
            Analyzer(engine(), rate).push(arrayOf(FloatArray(1), FloatArray(2)))
        }
    }

    @Test
    fun `the model gets samples of the range that its card states`() {
        var peak = 0f
        val analyzer = Analyzer(engine { w -> Answer(0.0, 0.0).also { peak = w.maxOf { abs(it) } } }, 44100)
        analyzer.push(arrayOf(FloatArray(44100) { if (it / 50 % 2 == 0) 1.5f else -1.5f }))
        analyzer.finish()
        assertEquals(1f, peak)
    }

    @Test
    fun `a stream that changes its rate keeps its time`() {
        val analyzer = Analyzer(engine(), 44100)
        analyzer.push(arrayOf(FloatArray(44100 * 20) { 0.1f }))
        analyzer.push(arrayOf(FloatArray(8000 * 20) { 0.1f }), 8000)
        analyzer.finish()
        assertEquals(40.0, analyzer.timeline.durationS, 1e-3)
        assertEquals(listOf(Warning.LOW_RATE), analyzer.timeline.warnings())
    }

    @Test
    fun `standard deviations and domain of a song`() {
        val answers = listOf(
            Answer(0.2, 0.0, Deviation(0.1, 0.2), 1.0),
            Answer(0.4, 0.0, Deviation(0.4, 0.2), 3.0),
        ).iterator()
        val analyzer = Analyzer(engine { answers.next() }, rate)
        analyzer.push(arrayOf(FloatArray(45 * rate) { 0.1f }))
        val song = checkNotNull(analyzer.timeline.song())
        assertEquals(0.3, song.valence, 1e-12)
        assertEquals(0.2, checkNotNull(song.std).valence, 1e-12)
        assertEquals(0.2, checkNotNull(song.std).arousal, 1e-12)
        assertEquals(false, song.inDomain)
        assertEquals(listOf(Warning.OUT_OF_DOMAIN), analyzer.timeline.warnings())
    }

    @Test
    fun `a model without a deviation and a distance answers with its card's`() {
        val analyzer = Analyzer(engine { Answer(0.2, 0.1) }, rate)
        analyzer.push(arrayOf(FloatArray(30 * rate) { 0.1f }))
        val song = checkNotNull(analyzer.timeline.song())
        assertEquals(card.uncertainty, song.std)
        assertNull(song.inDomain)
    }

    @Test
    fun `answers that are not finite`() {
        val signature = card.signature
        val outputs = mapOf("valence_arousal" to floatArrayOf(0.5f, -0.25f), "domain_distance" to floatArrayOf(2f))
        assertEquals(Answer(0.5, -0.25, null, 2.0), Answer.of(outputs, signature))
        for (name in outputs.keys) {
            val bad = outputs + (name to floatArrayOf(Float.NaN, 0f))
            refuses(Kind.MODEL_FAILED, "expected finite answers") { Answer.of(bad, signature) }
        }
    }

    @Test
    fun `the window that is heard at a time`() {
        val analyzer = Analyzer(engine(), rate)
        assertNull(analyzer.timeline.segments.at(3.0))
        analyzer.push(arrayOf(FloatArray(60 * rate) { 0.1f }))
        assertEquals(listOf(0.0, 0.0, 15.0, 30.0), listOf(3.0, 20.0, 30.0, 59.0).map { analyzer.timeline.segments.at(it)?.startS })
    }

    @Test
    fun `what is shared is JSON with the names of the command line`() {
        val analyzer = Analyzer(engine { Answer(0.25, -0.5, distance = 1.0) }, 44100)
        analyzer.push(arrayOf(FloatArray(44100 * 12) { 0.1f }))
        analyzer.finish()
        val found = Json.parse(analyzer.timeline.toJson("a \"song\".mp3")).tree()
        assertEquals("a \"song\".mp3", found["path"])
        assertEquals(card.name, found["model"])
        assertEquals(listOf(0.25, -0.5), listOf(found["valence"], found["arousal"]))
        assertEquals(listOf("Q4", "relaxed").first(), found["quadrant"])
        assertEquals(Circumplex.mood(0.25, -0.5).word, found["mood"])
        assertEquals(12.0, found.number("duration_s"), 1e-3)
        assertEquals(1.0, found["windows"])
        assertEquals(true, found["in_domain"])
        assertEquals(listOf("repeated"), found["warnings"])
        assertEquals(setOf("start_s", "end_s", "valence", "arousal"), found.list("timeline").single().keys)
        assertTrue("timeline" !in Json.parse(analyzer.timeline.toJson("x", withTimeline = false)).tree())
    }

    @Test
    fun `latency of a window`() {
        var clock = 0L
        val engine = engine { Answer(0.0, 0.0).also { clock += 25_000_000 } }
        val done = ArrayList<Int>()
        assertEquals(Benchmark.Times(25.0, 25.0, 4), Benchmark.measure(engine, 4, { clock }) { done.add(it) })
        assertEquals(listOf(0, 1, 2, 3, 4), done)
        assertNull(Benchmark.measure(engine, 4, { clock }) { it < 2 })
        assertThrows(IllegalArgumentException::class.java) { Benchmark.measure(engine, 0) }
    }

    @Test
    fun `windows with a hop that skips music`() {
        assertThrows(IllegalArgumentException::class.java) { Windows(100, 2.0, 60, 1.0) }
        assertThrows(IllegalArgumentException::class.java) { Windows(100, 0.0, 60, 1.0) }
    }
}
