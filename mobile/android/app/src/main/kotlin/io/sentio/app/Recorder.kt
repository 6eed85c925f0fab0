package io.sentio.app

import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import io.sentio.SentioError

/**
 * The microphone, mono, without an end.
 *
 * Needs the permission RECORD_AUDIO. Throws [SentioError] if the microphone cannot be had.
 */
class Recorder : Source {
    private val record: AudioRecord
    private val block = FloatArray(RATE / 10)

    init {
        val least = AudioRecord.getMinBufferSize(RATE, AudioFormat.CHANNEL_IN_MONO, AudioFormat.ENCODING_PCM_FLOAT)
        try {
            record = AudioRecord(
                MediaRecorder.AudioSource.MIC,
                RATE,
                AudioFormat.CHANNEL_IN_MONO,
                AudioFormat.ENCODING_PCM_FLOAT,
                maxOf(least, 4 * RATE), // a second, so that nothing is lost while a window is judged
            )
        } catch (error: IllegalArgumentException) {
            throw noMicrophone("none at $RATE Hz", error)
        } catch (error: SecurityException) {
            throw noMicrophone("no permission", error)
        }
        try {
            if (record.state != AudioRecord.STATE_INITIALIZED) throw IllegalStateException("not initialized")
            record.startRecording()
            if (record.recordingState != AudioRecord.RECORDSTATE_RECORDING) throw IllegalStateException("not started")
        } catch (error: IllegalStateException) {
            record.release()
            throw noMicrophone("one that is in use", error)
        }
    }

    override fun next(): Sound {
        val count = record.read(block, 0, block.size, AudioRecord.READ_BLOCKING)
        if (count < 0) throw noMicrophone("error $count of it")
        return Sound(arrayOf(block.copyOf(count)), RATE, null)
    }

    override fun close() = record.release()

    private fun noMicrophone(received: String, cause: Throwable? = null) = SentioError(
        SentioError.Kind.MICROPHONE,
        "expected a microphone, received $received; close other apps that record and try again",
        cause,
    )

    private companion object {
        const val RATE = 44_100 // every phone has it
    }
}
