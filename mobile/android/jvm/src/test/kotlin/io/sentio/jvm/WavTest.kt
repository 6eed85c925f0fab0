package io.sentio.jvm

import io.sentio.Encoding
import io.sentio.PcmFormat
import io.sentio.SentioError
import io.sentio.SentioError.Kind
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

class WavTest {
    @TempDir
    lateinit var folder: File

    private fun chunk(name: String, size: Int, body: ByteArray): ByteArray =
        ByteBuffer.allocate(8 + body.size).order(ByteOrder.LITTLE_ENDIAN).put(name.toByteArray()).putInt(size).put(body).array()

    private fun fmt(tag: Int, channels: Int, rate: Int, bits: Int, subtype: Int? = null): ByteArray {
        val body = ByteBuffer.allocate(if (subtype == null) 16 else 40).order(ByteOrder.LITTLE_ENDIAN)
        body.putShort(tag.toShort()).putShort(channels.toShort()).putInt(rate)
        body.putInt(rate * channels * bits / 8).putShort((channels * bits / 8).toShort()).putShort(bits.toShort())
        if (subtype != null) body.putShort(22).putShort(bits.toShort()).putInt(0).putShort(subtype.toShort())
        return chunk("fmt ", body.capacity(), body.array())
    }

    private fun wav(vararg chunks: ByteArray): File = folder.resolve("x.wav").apply {
        writeBytes(chunk("RIFF", 0, "WAVE".toByteArray()) + chunks.fold(ByteArray(0), ByteArray::plus))
    }

    private fun refuses(kind: Kind, part: String, file: File) {
        val error = assertThrows(SentioError::class.java) { Wav(file).close() }
        assertEquals(kind, error.kind)
        assertTrue(part in error.message, error.message)
    }

    @Test
    fun `formats and chunks between`() {
        val body = byteArrayOf(0, 64, 0, -64, 0, 0, 0, 32)
        val odd = chunk("LIST", 3, byteArrayOf(1, 2, 3, 0))
        for (format in listOf(fmt(1, 2, 44100, 16), fmt(0xfffe, 2, 44100, 16, subtype = 1))) {
            Wav(wav(odd, format, chunk("data", 8, body))).use {
                assertEquals(PcmFormat(44100, 2, Encoding.INT16), it.format)
                val found = checkNotNull(it.read())
                assertArrayEquals(floatArrayOf(0.5f, 0f), found[0])
                assertArrayEquals(floatArrayOf(-0.5f, 0.25f), found[1])
                assertNull(it.read())
            }
        }
        val others = mapOf(8 to Encoding.UINT8, 24 to Encoding.INT24, 32 to Encoding.INT32)
        for ((bits, encoding) in others) {
            Wav(wav(fmt(1, 1, 8000, bits), chunk("data", 0, ByteArray(0)))).use { assertEquals(encoding, it.format.encoding) }
        }
        Wav(wav(fmt(3, 1, 8000, 32), chunk("data", 4, ByteArray(4)))).use { assertEquals(Encoding.FLOAT32, it.format.encoding) }
    }

    @Test
    fun `a length that a pipe could not know, and pieces`() {
        Wav(wav(fmt(1, 1, 8000, 16), chunk("data", -1, ByteArray(10)))).use {
            assertEquals(listOf(3, 2), listOf(it.read(3), it.read(3)).map { part -> checkNotNull(part)[0].size })
            assertNull(it.read(3))
        }
    }

    @Test
    fun `what is no wav`() {
        refuses(Kind.UNREADABLE, "cannot be read", folder.resolve("none.wav"))
        refuses(Kind.UNSUPPORTED, "a file that ends in its header", folder.resolve("empty.wav").apply { writeText("") })
        refuses(Kind.UNSUPPORTED, "a file of another kind", folder.resolve("x.mp3").apply { writeText("ID3 and much more") })
        refuses(Kind.UNSUPPORTED, "sound without a format", wav(chunk("data", 0, ByteArray(0))))
        refuses(Kind.UNSUPPORTED, "encoding 2 of 4 bits", wav(fmt(2, 1, 8000, 4)))
        refuses(Kind.UNSUPPORTED, "received 0 channels", wav(fmt(1, 0, 8000, 16)))
        refuses(Kind.UNSUPPORTED, "a damaged header", wav(chunk("fmt ", 4, ByteArray(4))))
        refuses(Kind.UNSUPPORTED, "a damaged header", wav(chunk("LIST", -1, ByteArray(4))))
    }
}
