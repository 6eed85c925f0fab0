package io.sentio.app

import android.Manifest
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.provider.OpenableColumns
import android.view.Menu
import android.view.MenuItem
import android.view.View
import android.view.WindowManager
import android.widget.Button
import android.widget.ProgressBar
import android.widget.TextView
import android.widget.Toast
import io.sentio.Segment
import io.sentio.TimelineGeometry
import io.sentio.at

/** Pick or record a song; its mood, the circumplex and the timeline grow while it is heard. */
class MainActivity : SessionActivity() {
    private val mood by lazy { view<TextView>(R.id.mood) }
    private val numbers by lazy { view<TextView>(R.id.numbers) }
    private val message by lazy { view<TextView>(R.id.message) }
    private val progress by lazy { view<ProgressBar>(R.id.progress) }
    private val circumplex by lazy { view<CircumplexView>(R.id.circumplex) }
    private val timeline by lazy { view<TimelineView>(R.id.timeline) }
    private val pick by lazy { view<Button>(R.id.pick) }
    private val record by lazy { view<Button>(R.id.record) }
    private val cancel by lazy { view<Button>(R.id.cancel) }
    private var selectedS: Double? = null
    private var notice: String? = null // of what kept a song from being started

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.activity_main)
        selectedS = saved?.takeIf { it.containsKey(SELECTED) }?.getDouble(SELECTED)
        notice = saved?.getString(NOTICE)
        pick.setOnClickListener { choose() }
        record.setOnClickListener { if (recording()) session.stop() else askAndRecord() }
        cancel.setOnClickListener { session.cancel() }
        timeline.onSelect = { segment ->
            selectedS = segment.middleS
            showCircumplex()
        }
    }

    /** A phone gives no sound to an app that nobody sees. */
    override fun left() = session.interrupt()

    override fun onSaveInstanceState(out: Bundle) {
        super.onSaveInstanceState(out)
        selectedS?.let { out.putDouble(SELECTED, it) }
        out.putString(NOTICE, notice)
    }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.main, menu)
        return true
    }

    override fun onPrepareOptionsMenu(menu: Menu): Boolean {
        menu.findItem(R.id.share).isEnabled = session.state is State.Done
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean = when (item.itemId) {
        R.id.share -> true.also { share() }
        R.id.benchmark -> true.also { startActivity(Intent(this, BenchmarkActivity::class.java)) }
        else -> super.onOptionsItemSelected(item)
    }

    private fun choose() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT)
            .addCategory(Intent.CATEGORY_OPENABLE)
            .setType("*/*") // some providers call music application/ogg; the decoder knows better
            .putExtra(Intent.EXTRA_MIME_TYPES, arrayOf("audio/*", "video/*", "application/ogg"))
        try {
            startActivityForResult(intent, PICK)
        } catch (error: ActivityNotFoundException) {
            tell(R.string.error_no_picker)
        }
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data
        if (request != PICK || result != RESULT_OK || uri == null) return
        forget()
        session.analyze(uri, nameOf(uri))
    }

    private fun nameOf(uri: Uri): String {
        val cursor = try {
            contentResolver.query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)
        } catch (error: SecurityException) {
            null // the decoder will say so
        }
        val name = cursor?.use { if (it.moveToFirst() && !it.isNull(0)) it.getString(0) else null }
        return name ?: getString(R.string.unnamed)
    }

    private fun askAndRecord() {
        if (checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED) {
            startRecording()
        } else {
            requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), RECORD)
        }
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        if (request != RECORD || results.isEmpty()) return // empty: the question itself was interrupted
        when {
            results[0] == PackageManager.PERMISSION_GRANTED -> startRecording()
            shouldShowRequestPermissionRationale(Manifest.permission.RECORD_AUDIO) -> tell(R.string.error_permission)
            else -> tell(R.string.error_permission_for_good)
        }
    }

    private fun startRecording() {
        forget()
        if (!session.record(getString(R.string.recording_name))) tell(R.string.error_focus)
    }

    private fun forget() {
        selectedS = null
        notice = null
    }

    private fun tell(text: Int) {
        notice = getString(text)
        show()
    }

    private fun share() {
        val result = (session.state as? State.Done)?.result ?: return
        var json = result.json ?: return
        if (json.length > MOST_SHARED) {
            json = checkNotNull(result.shortJson)
            Toast.makeText(this, R.string.share_without_timeline, Toast.LENGTH_LONG).show()
        }
        val intent = Intent(Intent.ACTION_SEND)
            .setType("text/plain")
            .putExtra(Intent.EXTRA_SUBJECT, result.name)
            .putExtra(Intent.EXTRA_TEXT, json)
        startActivity(Intent.createChooser(intent, getString(R.string.share)))
    }

    private fun recording(): Boolean = (session.state as? State.Working)?.recording == true

    private fun result(): Result? = when (val state = session.state) {
        is State.Working -> state.result
        is State.Done -> state.result
        else -> null
    }

    override fun show() {
        val state = session.state
        val working = state is State.Working
        keepAwake(working)
        pick.isEnabled = !working
        record.isEnabled = !working || recording()
        record.setText(if (recording()) R.string.stop else R.string.record)
        cancel.visibility = if (working) View.VISIBLE else View.GONE
        progress.visibility = if (working) View.VISIBLE else View.INVISIBLE
        val share = (state as? State.Working)?.share
        progress.isIndeterminate = share == null
        share?.let { progress.progress = (it * progress.max).toInt() }
        showSong()
        // Read aloud once, when the song has ended, and not four times a second.
        message.accessibilityLiveRegion =
            if (working) View.ACCESSIBILITY_LIVE_REGION_NONE else View.ACCESSIBILITY_LIVE_REGION_POLITE
        message.text = text(state)
        message.visibility = if (message.text.isEmpty()) View.GONE else View.VISIBLE
        timeline.show(result()?.segments.orEmpty(), result()?.durationS ?: 0.0, selected())
        showCircumplex()
        invalidateOptionsMenu()
    }

    private fun showSong() {
        val song = result()?.song
        if (song == null) {
            mood.setText(if (session.state is State.Working) R.string.listening else R.string.hint)
            numbers.text = ""
            return
        }
        mood.setText(Messages.of(song.mood))
        val std = song.std
        numbers.text = if (std == null) {
            getString(R.string.numbers, song.valence, song.arousal)
        } else {
            getString(R.string.numbers_with_std, song.valence, std.valence, song.arousal, std.arousal)
        }
    }

    private fun text(state: State): String = when (state) {
        is State.Idle -> notice.orEmpty()
        is State.Failed -> getString(R.string.failed, state.name, getString(Messages.of(state.error.kind)))
        is State.Working -> {
            val heard = TimelineGeometry.clock(state.result?.durationS ?: 0.0)
            getString(if (state.recording) R.string.recording_status else R.string.analyzing_status, state.name, heard)
        }
        is State.Done -> {
            val lines = ArrayList<String>()
            lines += getString(R.string.done_status, state.result.name, TimelineGeometry.clock(state.result.durationS))
            if (state.interrupted) lines += getString(R.string.recording_interrupted)
            state.result.warnings.mapTo(lines) { getString(Messages.of(it)) }
            notice?.let { lines += it }
            lines.joinToString("\n")
        }
    }

    private fun selected(): Segment? = selectedS?.let { result()?.segments?.at(it) }

    private fun showCircumplex() = circumplex.show(result()?.segments.orEmpty(), result()?.song, selected())

    private fun keepAwake(on: Boolean) {
        val flag = WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON
        if (on) window.addFlags(flag) else window.clearFlags(flag)
    }

    private companion object {
        const val PICK = 1
        const val RECORD = 2
        const val SELECTED = "selected"
        const val NOTICE = "notice"

        // Of an intent's text; what is much larger the system refuses.
        const val MOST_SHARED = 200_000
    }
}
