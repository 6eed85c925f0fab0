package io.sentio.app

import android.content.Context
import android.media.AudioFormat
import android.media.MediaCodec
import android.media.MediaExtractor
import android.media.MediaFormat
import android.net.Uri
import io.sentio.Encoding
import io.sentio.PcmFormat
import io.sentio.SentioError
import java.io.FileNotFoundException
import java.io.IOException

/**
 * The first audio track of any file that this phone can decode, as a stream at the file's own rate.
 *
 * Throws [SentioError] for a file that cannot be read, decoded, or is copy-protected.
 */
class Decoder(context: Context, uri: Uri) : Source {
    private val extractor = MediaExtractor()
    private var codec: MediaCodec? = null
    private val durationUs: Long
    private var format: PcmFormat? = null
    private var fed = false // the end of the file went into the decoder
    private val info = MediaCodec.BufferInfo()

    init {
        try {
            open(context, uri)
            val (track, trackFormat) = audioTrack()
            extractor.selectTrack(track)
            val length = MediaFormat.KEY_DURATION
            durationUs = if (trackFormat.containsKey(length)) trackFormat.getLong(length) else 0
            codec = guarded {
                MediaCodec.createDecoderByType(checkNotNull(trackFormat.getString(MediaFormat.KEY_MIME))).also {
                    codec = it
                    it.configure(trackFormat, null, null, 0)
                    it.start()
                }
            }
        } catch (error: SentioError) {
            close()
            throw error
        }
    }

    override fun next(): Sound? = guarded {
        val codec = checkNotNull(codec) { "closed" }
        var waited = 0
        while (true) {
            if (!fed) feed(codec)
            val index = codec.dequeueOutputBuffer(info, WAIT_US)
            when {
                index == MediaCodec.INFO_OUTPUT_FORMAT_CHANGED -> format = pcmFormat(codec.outputFormat)
                index >= 0 -> {
                    val sound = read(codec, index)
                    val ended = info.flags and MediaCodec.BUFFER_FLAG_END_OF_STREAM != 0
                    codec.releaseOutputBuffer(index, false)
                    if (sound != null) return@guarded sound
                    if (ended) return@guarded null
                    waited = 0
                }
                fed && ++waited > MOST_WAITS -> throw IllegalStateException("the decoder does not end")
            }
        }
        @Suppress("UNREACHABLE_CODE")
        null
    }

    override fun close() {
        codec?.release()
        codec = null
        extractor.release()
    }

    private fun open(context: Context, uri: Uri) {
        try {
            // Opened here and not by the extractor, which would report a lost permission as an unknown format.
            val file = context.contentResolver.openAssetFileDescriptor(uri, "r") ?: throw FileNotFoundException("$uri")
            file.use { guarded { extractor.setDataSource(it) } }
        } catch (error: FileNotFoundException) {
            throw unreadable(error)
        } catch (error: SecurityException) {
            throw unreadable(error)
        }
    }

    private fun audioTrack(): Pair<Int, MediaFormat> {
        for (track in 0 until extractor.trackCount) {
            val format = extractor.getTrackFormat(track)
            if (format.getString(MediaFormat.KEY_MIME)?.startsWith("audio/") == true) return track to format
        }
        throw unsupported("a file without an audio track")
    }

    private fun feed(codec: MediaCodec) {
        val index = codec.dequeueInputBuffer(WAIT_US)
        if (index < 0) return
        val buffer = checkNotNull(codec.getInputBuffer(index))
        val size = extractor.readSampleData(buffer, 0)
        if (size < 0) {
            codec.queueInputBuffer(index, 0, 0, 0, MediaCodec.BUFFER_FLAG_END_OF_STREAM)
            fed = true
            return
        }
        if (extractor.sampleFlags and MediaExtractor.SAMPLE_FLAG_ENCRYPTED != 0) throw copyProtected()
        codec.queueInputBuffer(index, 0, size, extractor.sampleTime, 0)
        extractor.advance()
    }

    private fun read(codec: MediaCodec, index: Int): Sound? {
        if (info.size == 0) return null
        val bytes = checkNotNull(codec.getOutputBuffer(index))
        bytes.position(info.offset).limit(info.offset + info.size)
        // A decoder may start without announcing its format.
        val format = format ?: pcmFormat(codec.outputFormat).also { format = it }
        val share = if (durationUs > 0) (info.presentationTimeUs.toFloat() / durationUs).coerceIn(0f, 1f) else null
        return Sound(format.read(bytes), format.sampleRate, share)
    }

    private fun pcmFormat(format: MediaFormat): PcmFormat {
        val constant = if (format.containsKey(MediaFormat.KEY_PCM_ENCODING)) {
            format.getInteger(MediaFormat.KEY_PCM_ENCODING)
        } else {
            AudioFormat.ENCODING_PCM_16BIT
        }
        return PcmFormat(
            format.getInteger(MediaFormat.KEY_SAMPLE_RATE),
            format.getInteger(MediaFormat.KEY_CHANNEL_COUNT),
            Encoding.ofAndroid(constant) ?: throw unsupported("samples of encoding $constant"),
        )
    }

    /** Extractors and decoders throw many kinds, not all documented; each means that this file cannot be heard. */
    private fun <T> guarded(use: () -> T): T = try {
        use()
    } catch (error: MediaCodec.CryptoException) {
        throw copyProtected(error)
    } catch (error: SecurityException) {
        throw unreadable(error)
    } catch (error: IOException) {
        throw unsupported("a file that this phone cannot decode", error)
    } catch (error: RuntimeException) {
        throw unsupported("a file that is damaged or that this phone cannot decode", error)
    }

    private fun unsupported(received: String, cause: Throwable? = null) =
        SentioError(SentioError.Kind.UNSUPPORTED, "expected music, received $received; choose another file", cause)

    private fun copyProtected(cause: Throwable? = null) = SentioError(
        SentioError.Kind.PROTECTED,
        "expected a file without copy protection, received one with it; choose another file",
        cause,
    )

    private fun unreadable(cause: Throwable) =
        SentioError(SentioError.Kind.UNREADABLE, "expected a file that can be read; choose it again", cause)

    private companion object {
        const val WAIT_US = 10_000L
        const val MOST_WAITS = 500 // 5 s
    }
}
