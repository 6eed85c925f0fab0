package io.sentio.app

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.Path
import android.os.Bundle
import android.util.AttributeSet
import android.view.KeyEvent
import android.view.MotionEvent
import android.view.View
import android.view.accessibility.AccessibilityNodeInfo
import io.sentio.Segment
import io.sentio.TimelineGeometry
import io.sentio.at

/**
 * Valence and arousal over time. A window is selected by a touch, by the arrow keys, or by TalkBack's gestures for a
 * slider; [onSelect] is told which.
 */
class TimelineView @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    View(context, attributes) {

    var onSelect: (Segment) -> Unit = {}
    private val unit = resources.displayMetrics.density
    private val axis = paint(R.color.axis, 1f)
    private val valence = paint(R.color.valence, 2.5f)
    private val arousal = paint(R.color.arousal, 2.5f)
    private val cursor = paint(R.color.accent, 2f)
    private val label = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = context.getColor(R.color.text_secondary)
        textSize = resources.getDimension(R.dimen.label)
    }
    private val path = Path()
    private var segments: List<Segment> = emptyList()
    private var durationS = 0.0
    private var selected: Segment? = null

    init {
        isFocusable = true
    }

    fun show(segments: List<Segment>, durationS: Double, selected: Segment?) {
        this.segments = segments
        this.durationS = durationS
        this.selected = selected
        contentDescription = describe()
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val plot = geometry()
        canvas.drawLine(plot.x(0.0), plot.y(0.0), plot.x(durationS), plot.y(0.0), axis)
        drawTicks(canvas, plot)
        drawLine(canvas, plot, valence) { it.valence }
        drawLine(canvas, plot, arousal) { it.arousal }
        selected?.let { canvas.drawLine(plot.x(it.middleS), plot.y(1.0), plot.x(it.middleS), plot.y(-1.0), cursor) }
    }

    private fun drawTicks(canvas: Canvas, plot: TimelineGeometry) {
        for (seconds in plot.ticks(TICK_DP * unit)) {
            val text = TimelineGeometry.clock(seconds)
            val width = label.measureText(text)
            val x = plot.x(seconds)
            canvas.drawLine(x, plot.y(-1.0), x, plot.y(-1.0) + 4 * unit, axis)
            val left = (x - width / 2).coerceIn(0f, maxOf(0f, this.width - width))
            canvas.drawText(text, left, height - label.descent(), label)
        }
    }

    private fun drawLine(canvas: Canvas, plot: TimelineGeometry, paint: Paint, value: (Segment) -> Double) {
        path.rewind()
        segments.forEachIndexed { i, it ->
            val (x, y) = plot.x(it.middleS) to plot.y(value(it))
            if (i == 0) path.moveTo(x, y) else path.lineTo(x, y)
        }
        if (segments.size == 1) path.rLineTo(unit, 0f) // one window is a dot
        canvas.drawPath(path, paint)
    }

    private fun geometry(): TimelineGeometry {
        val edge = 4 * unit
        val bottom = height - label.fontSpacing - 2 * edge
        return TimelineGeometry(edge, edge, width - edge, maxOf(edge, bottom), durationS)
    }

    // Selecting by touch does what performClick would: it selects the window under the finger.
    @SuppressLint("ClickableViewAccessibility")
    override fun onTouchEvent(event: MotionEvent): Boolean {
        if (event.actionMasked != MotionEvent.ACTION_DOWN && event.actionMasked != MotionEvent.ACTION_MOVE) {
            return super.onTouchEvent(event)
        }
        parent.requestDisallowInterceptTouchEvent(true)
        segments.at(geometry().seconds(event.x))?.let(::select)
        return true
    }

    override fun onKeyDown(keyCode: Int, event: KeyEvent): Boolean = when (keyCode) {
        KeyEvent.KEYCODE_DPAD_LEFT -> step(-1)
        KeyEvent.KEYCODE_DPAD_RIGHT -> step(1)
        else -> false
    } || super.onKeyDown(keyCode, event)

    override fun onInitializeAccessibilityNodeInfo(info: AccessibilityNodeInfo) {
        super.onInitializeAccessibilityNodeInfo(info)
        info.className = "android.widget.SeekBar"
        if (segments.isEmpty()) return
        info.addAction(AccessibilityNodeInfo.AccessibilityAction.ACTION_SCROLL_FORWARD)
        info.addAction(AccessibilityNodeInfo.AccessibilityAction.ACTION_SCROLL_BACKWARD)
    }

    override fun performAccessibilityAction(action: Int, arguments: Bundle?): Boolean = when (action) {
        AccessibilityNodeInfo.ACTION_SCROLL_FORWARD -> step(1)
        AccessibilityNodeInfo.ACTION_SCROLL_BACKWARD -> step(-1)
        else -> super.performAccessibilityAction(action, arguments)
    }

    private fun step(by: Int): Boolean {
        if (segments.isEmpty()) return false
        val next = (segments.indexOf(selected) + by).coerceIn(0, segments.size - 1)
        if (segments[next] === selected) return false
        select(segments[next])
        return true
    }

    private fun select(segment: Segment) {
        if (segment === selected) return
        selected = segment
        contentDescription = describe()
        invalidate()
        onSelect(segment)
    }

    private fun describe(): String {
        val count = segments.size
        val segment = selected ?: return resources.getQuantityString(R.plurals.timeline_description, count, count)
        return context.getString(
            R.string.segment_description,
            TimelineGeometry.clock(segment.startS),
            TimelineGeometry.clock(segment.endS),
            segment.valence,
            segment.arousal,
        )
    }

    private fun paint(colour: Int, dp: Float) = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = context.getColor(colour)
        style = Paint.Style.STROKE
        strokeWidth = dp * unit
        strokeJoin = Paint.Join.ROUND
        strokeCap = Paint.Cap.ROUND
    }

    private companion object {
        const val TICK_DP = 56
    }
}
