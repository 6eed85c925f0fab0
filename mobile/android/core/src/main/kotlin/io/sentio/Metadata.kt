package io.sentio

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Reads the metadata table of a `.tflite`, which is a flatbuffer. */
object Metadata {
    // Fields of the tables of TFLite's schema, by their number.
    private const val MODEL_BUFFERS = 4
    private const val MODEL_METADATA = 6
    private const val METADATA_NAME = 0
    private const val METADATA_BUFFER = 1
    private const val BUFFER_DATA = 0

    /** The entry called [name] of the model in [file] (from 0 to its limit), null if there is none. */
    fun read(file: ByteBuffer, name: String): ByteArray? {
        val view = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)
        if (view.limit() < 8 || text(view, Span(4, 4)) != "TFL3") {
            throw SentioError(
                SentioError.Kind.NO_MODEL,
                "expected a TFLite model, received a file that is none; choose a .tflite of sentio-tf export",
            )
        }
        try {
            val model = indirect(view, 0)
            val entries = vector(view, model, MODEL_METADATA)
            for (i in 0 until entries.length) {
                val entry = indirect(view, entries.start + 4 * i)
                if (text(view, vector(view, entry, METADATA_NAME)) != name) continue
                val index = field(view, entry, METADATA_BUFFER)?.let(view::getInt) ?: 0
                val buffers = vector(view, model, MODEL_BUFFERS)
                return bytes(view, vector(view, indirect(view, buffers.start + 4 * index), BUFFER_DATA))
            }
            return null
        } catch (error: IndexOutOfBoundsException) {
            throw SentioError(
                SentioError.Kind.MODEL_DAMAGED,
                "the TFLite model is cut short or damaged; get it again",
                error,
            )
        }
    }

    private class Span(val start: Int, val length: Int)

    private fun indirect(view: ByteBuffer, at: Int): Int = at + view.getInt(at)

    /** Place of a field of the table at [table]; null if it is absent. */
    private fun field(view: ByteBuffer, table: Int, number: Int): Int? {
        val layout = table - view.getInt(table)
        val entry = 4 + 2 * number
        if (entry >= view.getShort(layout).toInt() and 0xffff) return null
        val offset = view.getShort(layout + entry).toInt() and 0xffff
        return if (offset == 0) null else table + offset
    }

    private fun vector(view: ByteBuffer, table: Int, number: Int): Span {
        val place = indirect(view, field(view, table, number) ?: return Span(0, 0))
        return Span(place + 4, view.getInt(place))
    }

    private fun bytes(view: ByteBuffer, span: Span): ByteArray {
        // A damaged length must not become an allocation.
        val inside = span.length >= 0 && span.start >= 0 && span.start <= view.limit() - span.length
        if (!inside) throw IndexOutOfBoundsException("${span.length} bytes at ${span.start}")
        val found = ByteArray(span.length)
        view.duplicate().apply { position(span.start) }.get(found)
        return found
    }

    private fun text(view: ByteBuffer, span: Span): String = String(bytes(view, span), Charsets.UTF_8)
}
