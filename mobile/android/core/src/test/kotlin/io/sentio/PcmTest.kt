package io.sentio

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.ByteBuffer
import java.nio.ByteOrder

class PcmTest {
    private fun bytes(size: Int, fill: ByteBuffer.() -> Unit): ByteBuffer =
        ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN).apply(fill).apply { flip() }

    private fun mono(encoding: Encoding, bytes: ByteBuffer): FloatArray =
        PcmFormat(44100, 1, encoding).read(bytes).single()

    @Test
    fun `the ends of every encoding`() {
        assertArrayEquals(
            floatArrayOf(-1f, 0f, 32767 / 32768f),
            mono(Encoding.INT16, bytes(6) { putShort(-32768).putShort(0).putShort(32767) }),
        )
        assertArrayEquals(
            floatArrayOf(-1f, 0f, 127 / 128f),
            mono(Encoding.UINT8, bytes(3) { put(0).put(-128).put(-1) }),
        )
        assertArrayEquals(
            floatArrayOf(-1f, 8388607 / 8388608f, -1 / 8388608f, 0x80ff / 8388608f),
            mono(Encoding.INT24, bytes(12) { put(byteArrayOf(0, 0, -128, -1, -1, 127, -1, -1, -1, -1, -128, 0)) }),
        )
        assertArrayEquals(
            floatArrayOf(-1f, 0.5f),
            mono(Encoding.INT32, bytes(8) { putInt(Int.MIN_VALUE).putInt(1 shl 30) }),
        )
        assertArrayEquals(floatArrayOf(-1.5f, 0.25f), mono(Encoding.FLOAT32, bytes(8) { putFloat(-1.5f).putFloat(0.25f) }))
    }

    @Test
    fun `channels are interleaved, and a frame that is not whole is left`() {
        for (channels in 1..8) {
            val format = PcmFormat(48000, channels, Encoding.FLOAT32)
            val found = format.read(bytes(format.frameBytes * 3 + 3) {
                repeat(3 * channels) { putFloat(it.toFloat()) }
                put(byteArrayOf(1, 2, 3))
            })
            assertEquals(channels, found.size)
            found.forEachIndexed { c, samples ->
                assertArrayEquals(FloatArray(3) { (it * channels + c).toFloat() }, samples)
            }
        }
    }

    @Test
    fun `a buffer is read from its position on and stays as it is`() {
        val buffer = bytes(6) { putShort(1).putShort(16384).putShort(-16384) }
        buffer.position(2)
        assertArrayEquals(floatArrayOf(0.5f, -0.5f), mono(Encoding.INT16, buffer))
        assertEquals(2, buffer.position())
    }

    @Test
    fun `constants of Android`() {
        val known = mapOf(2 to Encoding.INT16, 3 to Encoding.UINT8, 4 to Encoding.FLOAT32, 21 to Encoding.INT24, 22 to Encoding.INT32)
        assertEquals(known, (-1..30).mapNotNull { code -> Encoding.ofAndroid(code)?.let { code to it } }.toMap())
        assertNull(Encoding.ofAndroid(13))
    }

    @Test
    fun `formats that are none`() {
        for ((rate, channels) in listOf(0 to 2, 44100 to 0, -1 to 1)) {
            val error = assertThrows(SentioError::class.java) { PcmFormat(rate, channels, Encoding.INT16) }
            assertEquals(SentioError.Kind.UNSUPPORTED, error.kind)
            assertTrue("received $channels channels at $rate Hz" in error.message)
        }
    }
}
