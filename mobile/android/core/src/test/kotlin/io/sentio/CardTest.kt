package io.sentio

import io.sentio.SentioError.Kind
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.ByteBuffer

class CardTest {
    private fun <T> refuses(kind: Kind, part: String, use: () -> T) {
        val error = assertThrows(SentioError::class.java) { use() }
        assertEquals(kind, error.kind)
        assertTrue(part in error.message, error.message)
        assertTrue('\n' !in error.message, "one line")
    }

    @Test
    fun `the card inside the model that ships`() {
        val card = Card.of(Golden.modelBytes())
        val golden = Golden.json("card.json")
        assertEquals(golden.text("name"), card.name)
        assertEquals(golden.text("licence"), card.licence)
        assertEquals(golden.tree("audio").int("sample_rate"), card.audio.sampleRate)
        assertEquals(golden.tree("audio").int("samples"), card.audio.samples)
        assertEquals(golden.tree("windows").number("hop_s"), card.windows.hopS)
        assertEquals(golden.tree("windows").number("silence_peak"), card.windows.silencePeak)
        assertEquals(golden.tree("signature").text("name"), card.signature.name)
        assertEquals(golden.tree("signature")["distance"], card.signature.distance)
        assertEquals(golden.tree("uncertainty").number("valence_std"), card.uncertainty?.valence)
        assertEquals(golden.tree("uncertainty").number("arousal_std"), card.uncertainty?.arousal)
        assertEquals(golden.tree("domain").number("threshold"), card.threshold)
    }

    @Test
    fun `a kernel that the card states, and the one of before it was stated`() {
        val stated = Card.parse(
            Golden.card("resampler" to mapOf("kind" to "kaiser_sinc", "taps" to 129, "beta" to 6.5, "cutoff" to 0.9)),
        )
        assertEquals(listOf(129, 6.5, 0.9), stated.kernel.run { listOf(taps, beta, cutoff) })
        val golden = Golden.json("resampler.json").tree("resampler")
        for (old in listOf(emptyMap<String, Any?>(), mapOf("kind" to "soxr_hq", "taps" to null))) {
            val kernel = Card.parse(Golden.card("resampler" to old)).kernel
            assertEquals(golden.int("taps"), kernel.taps)
            assertEquals(golden.number("beta"), kernel.beta)
            assertEquals(golden.number("cutoff"), kernel.cutoff)
        }
    }

    @Test
    fun `optional parts`() {
        val plain = Card.parse(Golden.card("uncertainty" to emptyMap<String, Any?>(), "domain" to emptyMap<String, Any?>()))
        assertNull(plain.uncertainty)
        assertNull(plain.threshold)
        val names = mapOf("name" to "p", "input" to "i", "output" to "o", "distance" to null, "deviation" to "s")
        val signature = Card.parse(Golden.card("signature" to names)).signature
        assertEquals(listOf("o", "s"), signature.outputs)
        assertEquals(1.0, Card.parse(Golden.card("windows" to mapOf("hop_s" to 15, "silence_peak" to 0))).windows.minTailS)
    }

    @Test
    fun `cards that cannot be used`() {
        refuses(Kind.CARD, "text that does not parse") { Card.parse("{") }
        refuses(Kind.CARD_SCHEMA, "received none") { Card.parse("[]") }
        refuses(Kind.CARD_SCHEMA, "received none") { Card.parse("{}") }
        refuses(Kind.CARD_SCHEMA, "received sentio/2; update this app") { Card.parse(Golden.card("schema" to "sentio/2")) }
    }

    @Test
    fun `every value that the code computes with is checked`() {
        val audio = Golden.json("card.json").tree("audio")
        val windows = Golden.json("card.json").tree("windows")
        val kernel = mapOf("kind" to "kaiser_sinc", "taps" to 257, "beta" to 7, "cutoff" to 0.956)
        val wrong = mapOf(
            "audio.samples" to ("audio" to audio + ("samples" to 0)),
            "audio.sample_rate" to ("audio" to audio + ("sample_rate" to 22050.5)),
            "audio.value_range" to ("audio" to audio + ("value_range" to listOf(1, -1))),
            "windows.hop_s" to ("windows" to windows + ("hop_s" to 31)),
            "windows.min_tail_s" to ("windows" to windows + ("min_tail_s" to -1)),
            "windows.silence_peak" to ("windows" to windows + ("silence_peak" to "quiet")),
            "signature.name, signature.input, signature.output" to ("signature" to emptyMap<String, Any?>()),
            "signature.deviation" to
                ("signature" to mapOf("name" to "p", "input" to "i", "output" to "o", "deviation" to 1)),
            "resampler.kind" to ("resampler" to kernel + ("kind" to "linear")),
            "resampler.taps" to ("resampler" to kernel + ("taps" to 256)),
            "resampler.beta" to ("resampler" to kernel + ("beta" to null)),
            "resampler.cutoff" to ("resampler" to kernel + ("cutoff" to 1.5)),
            "uncertainty.arousal_std" to ("uncertainty" to mapOf("valence_std" to 0.2, "arousal_std" to -1)),
            "domain.threshold" to ("domain" to mapOf("threshold" to "far")),
        )
        for ((name, change) in wrong) {
            refuses(Kind.CARD, "received a wrong value of $name; export the model again") { Card.parse(Golden.card(change)) }
        }
    }

    @Test
    fun `the signature that the card promises`() {
        val card = Card.of(Golden.modelBytes())
        val inputs = mapOf("waveform" to intArrayOf(1, card.audio.samples))
        val outputs = mapOf("valence_arousal" to intArrayOf(1, 2), "domain_distance" to intArrayOf(1))
        card.check(inputs, outputs)
        card.check(inputs, outputs + ("extra" to intArrayOf(7)))
        for ((wrongIn, wrongOut) in listOf(
            mapOf("waveform" to intArrayOf(1, 100)) to outputs,
            mapOf("sound" to inputs.getValue("waveform")) to outputs,
            inputs + ("more" to intArrayOf(1)) to outputs,
            inputs to outputs - "domain_distance",
            inputs to outputs + ("valence_arousal" to intArrayOf(1, 3)),
        )) {
            refuses(Kind.MODEL_UNUSABLE, "expected predict(waveform [1, 661500])") { card.check(wrongIn, wrongOut) }
        }
    }

    @Test
    fun `metadata of what is no model`() {
        refuses(Kind.NO_MODEL, "received a file that is none") { Card.of(ByteBuffer.allocate(100)) }
        refuses(Kind.NO_MODEL, "received a file that is none") { Card.of(ByteBuffer.allocate(3)) }
        assertNull(Metadata.read(Golden.modelBytes(), "nothing of that name"))
        val other = Golden.modelBytes().array()
        val at = String(other, Charsets.ISO_8859_1).indexOf(Card.ENTRY)
        other[at] = 'z'.code.toByte()
        refuses(Kind.CARD, "received one without; export it") { Card.of(ByteBuffer.wrap(other)) }
    }

    @Test
    fun `a model cut short anywhere is an error, no crash`() {
        val whole = Golden.modelBytes().array()
        for (size in (8..whole.size - 8 step whole.size / 200) + (8..600)) {
            val error = runCatching { Card.of(ByteBuffer.wrap(whole, 0, size)) }.exceptionOrNull()
            assertTrue(error is SentioError?, "$size: $error")
            if (size <= 600) assertTrue(error is SentioError, "$size")
        }
        refuses(Kind.MODEL_DAMAGED, "cut short or damaged; get it again") { Card.of(ByteBuffer.wrap(whole.copyOf(5000))) }
    }

    @Test
    fun `damaged bytes are an error, no crash`() {
        val whole = Golden.modelBytes().array()
        val random = java.util.Random(8)
        repeat(300) {
            val damaged = whole.copyOf()
            // The root table and its vectors stand in the first bytes.
            repeat(4) { damaged[random.nextInt(400)] = random.nextInt().toByte() }
            val error = runCatching { Card.of(ByteBuffer.wrap(damaged)) }.exceptionOrNull()
            assertTrue(error is SentioError?, "$error")
        }
    }
}
