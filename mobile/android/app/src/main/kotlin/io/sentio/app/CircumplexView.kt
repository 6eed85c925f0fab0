package io.sentio.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.Path
import android.util.AttributeSet
import android.view.View
import io.sentio.CircumplexGeometry
import io.sentio.Segment
import io.sentio.Song

/** Russell's circumplex: the way of the song through it, the song as a point, and the window that is selected. */
class CircumplexView @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    View(context, attributes) {

    private val unit = resources.displayMetrics.density
    private val axis = stroke(R.color.axis, 1f)
    private val trail = stroke(R.color.trail, 2f)
    private val dot = fill(R.color.trail)
    private val ring = stroke(R.color.accent, 3f)
    private val point = fill(R.color.accent)
    private val label = fill(R.color.text_secondary).apply {
        textSize = resources.getDimension(R.dimen.label)
        textAlign = Paint.Align.CENTER
    }
    private val path = Path()
    private var segments: List<Segment> = emptyList()
    private var song: Song? = null
    private var selected: Segment? = null

    fun show(segments: List<Segment>, song: Song?, selected: Segment?) {
        this.segments = segments
        this.song = song
        this.selected = selected
        contentDescription = song?.let {
            val mood = context.getString(Messages.of(it.mood))
            context.getString(R.string.circumplex_description, it.valence, it.arousal, mood)
        } ?: context.getString(R.string.circumplex_empty_description)
        invalidate()
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = getDefaultSize(suggestedMinimumWidth, widthMeasureSpec)
        setMeasuredDimension(width, resolveSize(width, heightMeasureSpec))
    }

    override fun onDraw(canvas: Canvas) {
        val line = label.fontSpacing
        val place = CircumplexGeometry(width.toFloat(), height.toFloat(), line * 1.5f)
        canvas.drawCircle(place.centreX, place.centreY, place.radius, axis)
        canvas.drawLine(place.x(-1.0), place.centreY, place.x(1.0), place.centreY, axis)
        canvas.drawLine(place.centreX, place.y(-1.0), place.centreX, place.y(1.0), axis)
        drawLabels(canvas, place, line)

        path.rewind()
        segments.forEachIndexed { i, it ->
            val (x, y) = place.x(it.valence) to place.y(it.arousal)
            if (i == 0) path.moveTo(x, y) else path.lineTo(x, y)
            if (segments.size <= MOST_DOTS) canvas.drawCircle(x, y, 3 * unit, dot)
        }
        canvas.drawPath(path, trail)
        song?.let { canvas.drawCircle(place.x(it.valence), place.y(it.arousal), 8 * unit, point) }
        selected?.let { canvas.drawCircle(place.x(it.valence), place.y(it.arousal), 11 * unit, ring) }
    }

    private fun drawLabels(canvas: Canvas, place: CircumplexGeometry, line: Float) {
        canvas.drawText(context.getString(R.string.axis_energetic), place.centreX, place.y(1.0) - line * 0.4f, label)
        canvas.drawText(context.getString(R.string.axis_calm), place.centreX, place.y(-1.0) + line, label)
        // Beside the circle there is no room on a narrow phone: along its axis, inside.
        val above = place.centreY - line * 0.3f
        label.textAlign = Paint.Align.LEFT
        canvas.drawText(context.getString(R.string.axis_unpleasant), place.x(-1.0) + line * 0.4f, above, label)
        label.textAlign = Paint.Align.RIGHT
        canvas.drawText(context.getString(R.string.axis_pleasant), place.x(1.0) - line * 0.4f, above, label)
        label.textAlign = Paint.Align.CENTER
    }

    private fun stroke(colour: Int, dp: Float) = fill(colour).apply {
        style = Paint.Style.STROKE
        strokeWidth = dp * unit
        strokeJoin = Paint.Join.ROUND
        strokeCap = Paint.Cap.ROUND
    }

    private fun fill(colour: Int) = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(colour) }

    private companion object {
        const val MOST_DOTS = 200
    }
}
