package io.sentio.app

import java.io.Closeable

/** The next samples of a song, an array a channel; [share] of the song that is done, null where its end is unknown. */
class Sound(val channels: Array<FloatArray>, val sampleRate: Int, val share: Float?)

/** Where sound comes from. Used from one thread. */
interface Source : Closeable {
    /** Null at the end. Throws [io.sentio.SentioError] if the sound cannot be had. */
    fun next(): Sound?
}
