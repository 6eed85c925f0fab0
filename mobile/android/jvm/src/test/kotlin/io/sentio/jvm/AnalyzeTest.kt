package io.sentio.jvm

import io.sentio.Golden
import io.sentio.Json
import io.sentio.list
import io.sentio.number
import io.sentio.text
import io.sentio.tree
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** The command line program; it finds the library as the tests do. */
class AnalyzeTest {
    private val out = ArrayList<String>()
    private val err = ArrayList<String>()

    private fun run(vararg args: String): Int = analyze(args.toList(), Golden.root, out::add, err::add)

    @Test
    fun `a line a file, and the others are still answered`() {
        val wav = Golden.folder.resolve("tone.wav").path
        val code = run("--benchmark", "2", Golden.model.path, "nowhere.wav", wav)
        assertEquals(1, code)
        val (bad, good) = out.map { Json.parse(it).tree() }
        assertEquals("nowhere.wav", bad["path"])
        assertTrue("cannot be read" in bad.text("error"))
        val expected = Golden.json("answers.json").tree("files").list("cases").single { it["file"] == "tone.wav" }
        assertEquals(expected.number("valence"), good.number("valence"), 0.02)
        assertEquals(expected.number("arousal"), good.number("arousal"), 0.02)
        assertEquals(1.0, good["windows"])
        assertTrue(good.number("p95_ms") >= good.number("median_ms") && good.number("median_ms") > 0)
        assertEquals(0, run(Golden.model.path, wav))
        assertTrue(err.isEmpty())
    }

    @Test
    fun `wrong usage and a model that is none`() {
        for (args in listOf(emptyArray(), arrayOf("m"), arrayOf("--benchmark", "x", "m", "f"), arrayOf("--what", "m", "f"))) {
            assertEquals(2, run(*args))
        }
        assertTrue(err.all { it.startsWith("usage:") })
        err.clear()
        assertEquals(1, run(Golden.folder.resolve("tone.wav").path, "x.wav"))
        assertTrue("expected a TFLite model" in err.single())
        assertTrue(out.isEmpty())
    }
}
