package io.sentio

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** How a sample is stored; all little-endian, as every Android device and wav file is. */
enum class Encoding(val bytes: Int) {
    UINT8(1),
    INT16(2),
    INT24(3),
    INT32(4),
    FLOAT32(4),
    ;

    companion object {
        /** Of a constant `AudioFormat.ENCODING_PCM_*` of Android; null for one that is no PCM. */
        fun ofAndroid(constant: Int): Encoding? = when (constant) {
            2 -> INT16
            3 -> UINT8
            4 -> FLOAT32
            21 -> INT24
            22 -> INT32
            else -> null
        }
    }
}

/** Interleaved PCM of [channels] channels at [sampleRate] Hz. */
data class PcmFormat(val sampleRate: Int, val channels: Int, val encoding: Encoding) {
    init {
        if (sampleRate <= 0 || channels <= 0) {
            throw SentioError(
                SentioError.Kind.UNSUPPORTED,
                "expected sound of at least one channel, received $channels channels at $sampleRate Hz; " +
                    "convert the file",
            )
        }
    }

    /** Of one sample of all channels. */
    val frameBytes: Int get() = channels * encoding.bytes

    /** The whole frames of [bytes], from its position on: an array a channel, in [-1, 1] unless stored as floats. */
    fun read(bytes: ByteBuffer): Array<FloatArray> {
        val view = bytes.slice().order(ByteOrder.LITTLE_ENDIAN)
        val frames = view.remaining() / frameBytes
        return Array(channels) { channel ->
            FloatArray(frames) { sample(view, it * frameBytes + channel * encoding.bytes) }
        }
    }

    private fun sample(view: ByteBuffer, at: Int): Float = when (encoding) {
        Encoding.UINT8 -> ((view.get(at).toInt() and 0xff) - 128) / 128f
        Encoding.INT16 -> view.getShort(at) / 32768f
        Encoding.INT24 -> {
            val low = view.getShort(at).toInt() and 0xffff
            (view.get(at + 2).toInt() shl 16 or low) / 8388608f
        }
        Encoding.INT32 -> view.getInt(at) / 2147483648f
        Encoding.FLOAT32 -> view.getFloat(at)
    }
}
