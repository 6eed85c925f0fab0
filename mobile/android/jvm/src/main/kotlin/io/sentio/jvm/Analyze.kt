package io.sentio.jvm

import io.sentio.Analyzer
import io.sentio.Benchmark
import io.sentio.Engine
import io.sentio.Json
import io.sentio.SentioError
import io.sentio.Timeline
import java.io.File
import kotlin.system.exitProcess

private const val USAGE = "usage: java -jar sentio-jvm.jar [--benchmark RUNS] MODEL FILE.wav..."

/** Prints one line of JSON a file. Exit code 0: done, 1: a file or the model failed, 2: wrong usage. */
fun main(args: Array<String>) {
    exitProcess(analyze(args.toList(), File("."), ::println, System.err::println))
}

/** [root] is where the library is looked for, see [LiteRt.find]. */
internal fun analyze(args: List<String>, root: File, out: (String) -> Unit, err: (String) -> Unit): Int {
    val benchmark = args.firstOrNull() == "--benchmark"
    val runs = if (benchmark) args.getOrNull(1)?.toIntOrNull() ?: 0 else 0
    val rest = args.drop(if (benchmark) 2 else 0)
    if (rest.size < 2 || rest.any { it.startsWith("--") } || (benchmark && runs <= 0)) {
        err(USAGE)
        return 2
    }
    return try {
        LiteRtEngine(File(rest[0]), LiteRt.load(LiteRt.find(root))).use { engine ->
            val times = if (benchmark) Benchmark.measure(engine, runs) else null
            rest.drop(1).map { path -> answer(engine, path, times, out) }.max()
        }
    } catch (error: SentioError) {
        err(error.message)
        1
    }
}

private fun answer(engine: Engine, path: String, times: Benchmark.Times?, out: (String) -> Unit): Int {
    val line = linkedMapOf<String, Any?>("path" to path)
    val failed = try {
        val song = checkNotNull(timeline(engine, File(path)).also { line["windows"] = it.segments.size + it.silent }.song())
        line["valence"] = song.valence
        line["arousal"] = song.arousal
        line["mood"] = song.mood.word
        0
    } catch (error: SentioError) {
        line["error"] = error.message
        1
    }
    times?.let {
        line["median_ms"] = it.medianMs
        line["p95_ms"] = it.p95Ms
        line["runs"] = it.runs
        line["threads"] = 1
    }
    out(Json.write(line))
    return failed
}

/** The timeline of a wav file. Throws [SentioError] if there is nothing to judge. */
fun timeline(engine: Engine, file: File): Timeline = Wav(file).use { wav ->
    val analyzer = Analyzer(engine, wav.format.sampleRate)
    generateSequence { wav.read() }.forEach { analyzer.push(it) }
    analyzer.finish()
    analyzer.timeline
}
