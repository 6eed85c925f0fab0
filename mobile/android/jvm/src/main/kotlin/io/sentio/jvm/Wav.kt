package io.sentio.jvm

import io.sentio.Encoding
import io.sentio.PcmFormat
import io.sentio.SentioError
import java.io.Closeable
import java.io.EOFException
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A wav file as a stream: PCM of 8 to 32 bits or 32-bit floats.
 *
 * Throws [SentioError] for another file.
 */
class Wav(file: File) : Closeable {
    private val stream: InputStream
    private var left: Long // bytes of sound
    val format: PcmFormat

    init {
        stream = try {
            file.inputStream().buffered(1 shl 16)
        } catch (error: IOException) {
            throw SentioError(SentioError.Kind.UNREADABLE, "$file: cannot be read; check the name", error)
        }
        try {
            val head = header(file, 12)
            if (text(head, 0) != "RIFF" || text(head, 8) != "WAVE") {
                throw unsupported(file, "a file of another kind")
            }
            var found: PcmFormat? = null
            var chunk = header(file, 8)
            while (text(chunk, 0) != "data") {
                val size = chunk.getInt(4).toLong() and 0xffffffffL
                if (size > MAX_HEADER) throw unsupported(file, "a damaged header")
                val body = header(file, (size + size % 2).toInt()) // chunks end on even bytes
                if (text(chunk, 0) == "fmt ") found = format(file, body)
                chunk = header(file, 8)
            }
            format = found ?: throw unsupported(file, "sound without a format")
            left = chunk.getInt(4).toLong() and 0xffffffffL
        } catch (error: SentioError) {
            stream.close()
            throw error
        }
    }

    /** The next samples, at most [frames], one array a channel; null at the end. */
    fun read(frames: Int = 1 shl 14): Array<FloatArray>? {
        val bytes = ByteArray(minOf(left, frames.toLong() * format.frameBytes).toInt())
        var filled = 0
        while (filled < bytes.size) {
            val count = stream.read(bytes, filled, bytes.size - filled)
            if (count < 0) break // written to a pipe, a header promises more than there is
            filled += count
        }
        left -= filled
        if (filled < format.frameBytes) return null
        return format.read(ByteBuffer.wrap(bytes, 0, filled))
    }

    override fun close() = stream.close()

    private fun header(file: File, size: Int): ByteBuffer {
        val bytes = ByteArray(size)
        var filled = 0
        while (filled < size) {
            val count = stream.read(bytes, filled, size - filled)
            if (count < 0) throw unsupported(file, "a file that ends in its header", EOFException())
            filled += count
        }
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
    }

    private fun format(file: File, body: ByteBuffer): PcmFormat {
        if (body.limit() < 16) throw unsupported(file, "a damaged header")
        val tag = body.getShort(0).toInt() and 0xffff
        val kind = if (tag == EXTENSIBLE && body.limit() >= 26) body.getShort(24).toInt() and 0xffff else tag
        val bits = body.getShort(14).toInt()
        val encoding = when (kind to bits) {
            PCM to 8 -> Encoding.UINT8
            PCM to 16 -> Encoding.INT16
            PCM to 24 -> Encoding.INT24
            PCM to 32 -> Encoding.INT32
            FLOAT to 32 -> Encoding.FLOAT32
            else -> throw unsupported(file, "encoding $kind of $bits bits")
        }
        return PcmFormat(body.getInt(4), body.getShort(2).toInt(), encoding)
    }

    private fun text(bytes: ByteBuffer, at: Int): String = String(bytes.array(), at, 4, Charsets.ISO_8859_1)

    private fun unsupported(file: File, received: String, cause: Throwable? = null) = SentioError(
        SentioError.Kind.UNSUPPORTED,
        "$file: expected a wav file of PCM or 32-bit floats, received $received; convert it",
        cause,
    )

    private companion object {
        const val PCM = 1
        const val FLOAT = 3
        const val EXTENSIBLE = 0xfffe
        const val MAX_HEADER = 1L shl 24
    }
}
