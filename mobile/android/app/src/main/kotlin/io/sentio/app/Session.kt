package io.sentio.app

import android.content.Context
import android.media.AudioAttributes
import android.media.AudioFocusRequest
import android.media.AudioManager
import android.net.Uri
import android.os.Debug
import android.os.Handler
import android.os.Looper
import android.util.Log
import io.sentio.Analyzer
import io.sentio.Benchmark
import io.sentio.Segment
import io.sentio.SentioError
import io.sentio.Song
import io.sentio.Timeline
import io.sentio.Warning
import java.util.concurrent.Executors

/** A timeline as it was at a moment; what can be shared, with and without the timeline, once the song has [ended]. */
class Result(val name: String, timeline: Timeline, ended: Boolean) {
    val json: String? = if (ended) timeline.toJson(name) else null
    val shortJson: String? = if (ended) timeline.toJson(name, withTimeline = false) else null
    val segments: List<Segment> = timeline.segments.toList()
    val song: Song? = timeline.song()
    val durationS: Double = timeline.durationS
    val silent: Int = timeline.silent
    val warnings: List<Warning> = timeline.warnings()
}

/** What the main screen shows. */
sealed class State {
    object Idle : State()

    /** [result] is null until the first sound; [share] of the song that is done, null where its end is unknown. */
    class Working(val name: String, val recording: Boolean, val share: Float?, val result: Result?) : State()

    /** [interrupted] if a recording ended before the user ended it. */
    class Done(val result: Result, val interrupted: Boolean) : State()
    class Failed(val name: String, val error: SentioError) : State()
}

/** What the benchmark screen shows. */
sealed class BenchmarkState {
    object Idle : BenchmarkState()
    class Working(val done: Int, val runs: Int) : BenchmarkState()

    /** Memory of the whole process while it ran [bytes]. */
    class Done(val model: String, val windowS: Double, val times: Benchmark.Times, val memory: Long) : BenchmarkState()
    class Failed(val error: SentioError) : BenchmarkState()
}

/**
 * The one song that is heard, and the benchmark. Lives as long as the process, so that it survives rotation.
 *
 * All of it is for the main thread; models, decoders and the microphone run in a thread of their own.
 */
class Session(private val context: Context) {
    private val worker = Executors.newSingleThreadExecutor()
    private val main = Handler(Looper.getMainLooper())
    private val audio = checkNotNull(context.getSystemService(AudioManager::class.java))
    private val focus = AudioFocusRequest.Builder(AudioManager.AUDIOFOCUS_GAIN_TRANSIENT_EXCLUSIVE)
        .setAudioAttributes(AudioAttributes.Builder().setContentType(AudioAttributes.CONTENT_TYPE_MUSIC).build())
        .setOnAudioFocusChangeListener({ change -> if (change < 0) interrupt() }, main)
        .build()
    private var job: Job? = null
    private var benchmarkJob: Job? = null
    private var engine: TfliteEngine? = null // of the worker

    var state: State = State.Idle
        private set
    var benchmark: BenchmarkState = BenchmarkState.Idle
        private set

    /** Are told of every change of [state] and [benchmark]. */
    val listeners = LinkedHashSet<() -> Unit>()

    private class Job {
        @Volatile
        var cancelled = false

        @Volatile
        var interrupted = false

        @Volatile
        var stopped = false
    }

    fun analyze(uri: Uri, name: String) = start(name, recording = false) { Decoder(context, uri) }

    /** Needs the permission RECORD_AUDIO. False if another app, such as a call, keeps the sound for itself. */
    fun record(name: String): Boolean {
        if (audio.requestAudioFocus(focus) != AudioManager.AUDIOFOCUS_REQUEST_GRANTED) return false
        start(name, recording = true) { Recorder() }
        return true
    }

    /** Ends a recording; what was heard is judged. */
    fun stop() {
        job?.stopped = true
    }

    /** Ends a recording that the phone or the user interrupted; what was heard is judged. */
    fun interrupt() {
        if ((state as? State.Working)?.recording != true) return
        job?.interrupted = true
        stop()
    }

    /** Forgets the song. */
    fun cancel() {
        job?.cancelled = true
        job = null
        show(State.Idle)
    }

    private fun start(name: String, recording: Boolean, open: () -> Source) {
        job?.cancelled = true
        benchmarkJob?.cancelled = true
        val job = Job().also { job = it }
        show(State.Working(name, recording, null, null))
        worker.execute {
            val end = try {
                hear(job, name, recording, open)
            } catch (error: SentioError) {
                Log.i(TAG, error.message, error)
                State.Failed(name, error)
            }
            if (end != null) post(job, end)
        }
    }

    /** Null if the song was cancelled. */
    private fun hear(job: Job, name: String, recording: Boolean, open: () -> Source): State? {
        val engine = engine()
        open().use { source ->
            var analyzer: Analyzer? = null
            var shown = 0L
            while (!job.cancelled && !job.stopped) {
                val sound = source.next() ?: break
                val ear = analyzer ?: Analyzer(engine, sound.sampleRate).also { analyzer = it }
                val fresh = ear.push(sound.channels, sound.sampleRate)
                val now = System.nanoTime()
                if (fresh.isNotEmpty() || now - shown > SHOW_NS) {
                    shown = now
                    post(job, State.Working(name, recording, sound.share, Result(name, ear.timeline, ended = false)))
                }
            }
            if (job.cancelled) return null
            val ear = analyzer ?: Analyzer(engine, engine.card.audio.sampleRate) // says that there was no sound
            ear.finish()
            return State.Done(Result(name, ear.timeline, ended = true), job.interrupted)
        }
    }

    fun benchmark() {
        val job = Job().also { benchmarkJob = it }
        show(BenchmarkState.Working(0, RUNS))
        worker.execute {
            val end = try {
                val engine = engine()
                val times = Benchmark.measure(engine, RUNS) { done ->
                    post(job, BenchmarkState.Working(done, RUNS))
                    !job.cancelled
                }
                val windowS = engine.card.audio.samples.toDouble() / engine.card.audio.sampleRate
                times?.let { BenchmarkState.Done(engine.card.name, windowS, it, Debug.getPss() * 1024) }
            } catch (error: SentioError) {
                BenchmarkState.Failed(error)
            }
            post(job, end ?: BenchmarkState.Idle)
        }
    }

    fun cancelBenchmark() {
        benchmarkJob?.cancelled = true
    }

    /** Loaded once, on the worker. */
    private fun engine(): TfliteEngine = engine ?: TfliteEngine.load(context).also { engine = it }

    private fun post(from: Job, next: State) {
        main.post { if (from === job) show(next) }
    }

    private fun post(from: Job, next: BenchmarkState) {
        main.post { if (from === benchmarkJob) show(next) }
    }

    private fun show(next: State) {
        val recorded = (state as? State.Working)?.recording == true
        if (recorded && next !is State.Working) audio.abandonAudioFocusRequest(focus)
        state = next
        if (next !is State.Working) job = null
        listeners.toList().forEach { it() }
    }

    private fun show(next: BenchmarkState) {
        benchmark = next
        listeners.toList().forEach { it() }
    }

    private companion object {
        const val TAG = "sentio"
        const val RUNS = 20
        const val SHOW_NS = 250_000_000L
    }
}
