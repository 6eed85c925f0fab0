package io.sentio.jvm

import io.sentio.Analyzer
import io.sentio.Benchmark
import io.sentio.Golden
import io.sentio.SentioError
import io.sentio.SentioError.Kind
import io.sentio.list
import io.sentio.number
import io.sentio.text
import io.sentio.tree
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.AutoClose
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestInstance
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** The model that ships, on LiteRT. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class EngineTest {
    private val lib = LiteRt.load(LiteRt.find(Golden.root))

    @AutoClose
    private val engine = LiteRtEngine(Golden.model, lib)
    private val answers = Golden.json("answers.json")
    private val tolerance = answers.number("tolerance")

    private fun refuses(kind: Kind, part: String, use: () -> Unit) {
        val error = assertThrows(SentioError::class.java) { use() }
        assertEquals(kind, error.kind, error.message)
        assertTrue(part in error.message, error.message)
    }

    @Test
    fun `the golden waveform`() {
        val golden = answers.tree("waveform")
        val found = engine.run(Benchmark.goldenWaveform(engine.card.audio.samples, engine.card.audio.sampleRate))
        assertEquals(golden.number("valence"), found.valence, tolerance)
        assertEquals(golden.number("arousal"), found.arousal, tolerance)
        assertEquals(golden.number("distance"), checkNotNull(found.distance), tolerance)
        assertEquals(golden["std"], found.std)
    }

    @Test
    fun `the golden timeline`() {
        val golden = answers.tree("timeline")
        val rate = engine.card.audio.sampleRate
        val sound = Benchmark.goldenWaveform(golden.number("samples").toInt(), rate)
        val analyzer = Analyzer(engine, rate)
        for (at in sound.indices step 5000) analyzer.push(arrayOf(sound.copyOfRange(at, minOf(at + 5000, sound.size))))
        analyzer.finish()
        for ((expected, found) in golden.list("segments").zip(analyzer.timeline.segments)) {
            assertEquals(expected.number("start_s"), found.startS, 1e-3)
            assertEquals(expected.number("end_s"), found.endS, 1e-3)
            assertEquals(expected.number("valence"), found.valence, tolerance)
            assertEquals(expected.number("arousal"), found.arousal, tolerance)
        }
        assertEquals(golden.list("segments").size, analyzer.timeline.segments.size)
        val song = checkNotNull(analyzer.timeline.song())
        assertEquals(golden.number("valence"), song.valence, tolerance)
        assertEquals(golden.number("arousal"), song.arousal, tolerance)
    }

    @Test
    fun `the golden wav file, twice, with another song between`() {
        val golden = answers.tree("files")
        val expected = golden.list("cases").single { it.text("file").endsWith(".wav") }
        val file = Golden.folder.resolve(expected.text("file"))
        val first = checkNotNull(timeline(engine, file).song())
        assertEquals(expected.number("valence"), first.valence, golden.number("tolerance"))
        assertEquals(expected.number("arousal"), first.arousal, golden.number("tolerance"))
        assertEquals(expected.text("quadrant"), first.quadrant.name)
        assertEquals(expected.text("mood"), first.mood.word)
        val other = Analyzer(engine, 8000).apply { push(arrayOf(FloatArray(80_000) { if (it % 80 < 40) 0.9f else -0.9f })) }
        other.finish()
        assertTrue(checkNotNull(other.timeline.song()).valence != first.valence)
        assertEquals(first, timeline(engine, file).song())
    }

    @Test
    fun `threads change the time, not the answer`() {
        val window = Benchmark.goldenWaveform(engine.card.audio.samples, engine.card.audio.sampleRate)
        val one = engine.run(window)
        val two = LiteRtEngine(Golden.model, lib, threads = 2).use { it.run(window) }
        assertEquals(one.valence, two.valence, tolerance)
        assertEquals(one.arousal, two.arousal, tolerance)
    }

    @Test
    fun `engines are opened and closed many times`() {
        val window = FloatArray(engine.card.audio.samples) { 0.1f }
        val expected = engine.run(window)
        repeat(5) { LiteRtEngine(Golden.model, lib).use { assertEquals(expected, it.run(window)) } }
        assertThrows(IllegalArgumentException::class.java) { engine.run(FloatArray(100)) }
    }

    @Test
    fun `what is no usable model`(@TempDir folder: File) {
        val file = folder.resolve("x.tflite")
        refuses(Kind.MODEL_MISSING, "which cannot be read; check the name") { LiteRtEngine(file, lib) }
        file.writeText("no model")
        refuses(Kind.NO_MODEL, "received a file that is none") { LiteRtEngine(file, lib) }
        val bytes = Golden.model.readBytes()
        file.writeBytes(bytes.copyOf(5000))
        refuses(Kind.MODEL_DAMAGED, "cut short or damaged") { LiteRtEngine(file, lib) }
        file.writeBytes(replaced(bytes, "\"predict\"", "\"predicT\""))
        refuses(Kind.MODEL_UNUSABLE, "expected a model with a signature predicT, received [predict]") { LiteRtEngine(file, lib) }
        file.writeBytes(replaced(bytes, "\"waveform\"", "\"waveForm\""))
        refuses(Kind.MODEL_UNUSABLE, "expected predict(waveForm [1, 661500])") { LiteRtEngine(file, lib) }
        file.writeBytes(replaced(bytes, "\"domain_distance\"", "\"domain_Distance\""))
        refuses(Kind.MODEL_UNUSABLE, "domain_Distance") { LiteRtEngine(file, lib) }
        file.writeBytes(replaced(bytes, "sentio/1", "sentio/9"))
        refuses(Kind.CARD_SCHEMA, "received sentio/9; update this app") { LiteRtEngine(file, lib) }
    }

    @Test
    fun `the library is found, or the message says how`(@TempDir folder: File) {
        refuses(Kind.MODEL_UNUSABLE, "no file at SENTIO_LITERT=nowhere; run pip install ai-edge-litert") {
            LiteRt.find(Golden.root, mapOf(LiteRt.LIBRARY to "nowhere"))
        }
        refuses(Kind.MODEL_UNUSABLE, "none in .venv and no SENTIO_LITERT") { LiteRt.find(folder, emptyMap()) }
        val library = folder.resolve(".venv/lib/python3.11/site-packages/ai_edge_litert/libLiteRt.so")
        library.parentFile.mkdirs()
        library.writeText("no library")
        assertEquals(library, LiteRt.find(folder, emptyMap()))
        refuses(Kind.MODEL_UNUSABLE, "received libLiteRt.so that does not load") { LiteRt.load(library) }
    }

    private fun replaced(bytes: ByteArray, old: String, new: String): ByteArray {
        val text = String(bytes, Charsets.ISO_8859_1)
        assertTrue(old in text, old)
        return text.replace(old, new).toByteArray(Charsets.ISO_8859_1)
    }
}
