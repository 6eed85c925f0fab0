package io.sentio.app

import android.os.Build
import android.os.Bundle
import android.text.format.Formatter
import android.view.MenuItem
import android.view.View
import android.widget.Button
import android.widget.ProgressBar
import android.widget.TextView

/** Latency of a window and memory on this phone. */
class BenchmarkActivity : SessionActivity() {
    private val result by lazy { view<TextView>(R.id.result) }
    private val progress by lazy { view<ProgressBar>(R.id.progress) }
    private val start by lazy { view<Button>(R.id.start) }

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.activity_benchmark)
        actionBar?.setDisplayHomeAsUpEnabled(true)
        start.setOnClickListener {
            if (session.benchmark is BenchmarkState.Working) session.cancelBenchmark() else session.benchmark()
        }
    }

    /** Times of an app that nobody sees would be those of the slow cores. */
    override fun left() = session.cancelBenchmark()

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        if (item.itemId != android.R.id.home) return super.onOptionsItemSelected(item)
        finish()
        return true
    }

    override fun show() {
        val state = session.benchmark
        val working = state as? BenchmarkState.Working
        start.isEnabled = session.state !is State.Working
        start.setText(if (working != null) R.string.cancel else R.string.benchmark_start)
        progress.max = working?.runs ?: 1
        progress.progress = working?.done ?: 0
        result.accessibilityLiveRegion =
            if (working != null) View.ACCESSIBILITY_LIVE_REGION_NONE else View.ACCESSIBILITY_LIVE_REGION_POLITE
        result.text = when (state) {
            is BenchmarkState.Idle -> getString(R.string.benchmark_hint)
            is BenchmarkState.Working ->
                resources.getQuantityString(R.plurals.benchmark_running, state.runs, state.done, state.runs)
            is BenchmarkState.Failed -> getString(Messages.of(state.error.kind))
            is BenchmarkState.Done -> getString(
                R.string.benchmark_result,
                state.model,
                "${Build.MANUFACTURER} ${Build.MODEL}",
                state.windowS,
                state.times.medianMs,
                state.times.p95Ms,
                state.times.runs,
                TfliteEngine.threads,
                Formatter.formatShortFileSize(this, state.memory),
            )
        }
    }
}
