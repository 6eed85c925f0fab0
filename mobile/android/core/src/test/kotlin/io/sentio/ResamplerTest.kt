package io.sentio

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource
import org.junit.jupiter.api.Test
import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.sin

class ResamplerTest {
    private val kernel = Card.parse(Golden.text("card.json")).kernel

    @Test
    fun `in pieces as at once`() {
        val case = Golden.json("resampler.json").list("cases")[1]
        val (from, to) = case.int("rate_in") to case.int("rate_out")
        val sound = Golden.floats(case.text("in"))
        val stream = Resampler(from, to, kernel)
        var found = FloatArray(0)
        var at = 0
        var size = 1
        while (at < sound.size) {
            val end = minOf(at + size, sound.size)
            found += stream.push(sound.copyOfRange(at, end))
            assertTrue(stream.held < 2000, "memory does not grow")
            at = end
            size = maxOf(1, size * 7 % 911)
        }
        found += stream.finish()
        assertArrayEquals(resample(sound, from, to, kernel), found)
    }

    @ParameterizedTest
    @CsvSource("44100", "48000", "22050", "16000", "8000", "11025", "32000", "96000", "44099", "22049")
    fun `a sine stays the same sine`(rate: Int) {
        val hertz = 440.0
        val sine = { r: Int -> FloatArray(r) { (0.5 * sin(2 * PI * hertz * it / r)).toFloat() } }
        val found = resample(sine(rate), rate, 22050, kernel)
        assertEquals(22050, found.size)
        val expected = sine(22050)
        val worst = (2000 until 20000).maxOf { abs(found[it] - expected[it]) }
        assertTrue(worst < 1e-3, "$worst")
    }

    @Test
    fun `rates that are none`() {
        for ((from, to) in listOf(0 to 22050, -1 to 22050, 44100 to 0)) {
            val error = assertThrows(SentioError::class.java) { Resampler(from, to, kernel) }
            assertTrue("expected sample rates in Hz, received $from and $to" in error.message)
        }
    }
}
