package io.sentio

/**
 * JSON to and from plain Kotlin values: `Map<String, Any?>`, `List<Any?>`, `String`, `Double`, `Boolean`, null.
 *
 * Android's `org.json` and the artifact of that name on the JVM are two implementations, both lenient, so tests on the
 * JVM would not test what a phone runs. This one is the same everywhere and accepts RFC 8259 only.
 */
object Json {
    /** Throws [IllegalArgumentException] with the place for text that is no JSON. */
    fun parse(text: String): Any? = Parser(text).document()

    /** Numbers must be finite. Whole numbers are written without a fraction. */
    fun write(value: Any?): String = StringBuilder().also { write(it, value) }.toString()

    private fun write(out: StringBuilder, value: Any?) {
        when (value) {
            null, is Boolean -> out.append(value)
            is Number -> out.append(number(value.toDouble()))
            is String -> quote(out, value)
            is List<*> -> join(out, '[', ']', value) { write(out, it) }
            is Map<*, *> -> join(out, '{', '}', value.entries) { (name, item) ->
                quote(out, name as String)
                out.append(':')
                write(out, item)
            }
            else -> throw IllegalArgumentException("expected a value of JSON, received ${value.javaClass.name}")
        }
    }

    private fun number(value: Double): String {
        require(value.isFinite()) { "expected a finite number, received $value" }
        val whole = value.toLong()
        return if (whole.toDouble() == value && Math.abs(value) < 1e15) whole.toString() else value.toString()
    }

    private inline fun <T> join(out: StringBuilder, open: Char, close: Char, items: Collection<T>, each: (T) -> Unit) {
        out.append(open)
        items.forEachIndexed { i, item ->
            if (i > 0) out.append(',')
            each(item)
        }
        out.append(close)
    }

    private fun quote(out: StringBuilder, text: String) {
        out.append('"')
        for (c in text) {
            when {
                c == '"' || c == '\\' -> out.append('\\').append(c)
                c < ' ' -> out.append("\\u").append(c.code.toString(16).padStart(4, '0'))
                else -> out.append(c)
            }
        }
        out.append('"')
    }

    private class Parser(private val text: String) {
        private var at = 0
        private var depth = 0

        fun document(): Any? {
            val value = value()
            space()
            if (at < text.length) fail("the end")
            return value
        }

        private fun value(): Any? {
            space()
            return when (peek()) {
                '{' -> nested { map() }
                '[' -> nested { list() }
                '"' -> string()
                't' -> word("true", true)
                'f' -> word("false", false)
                'n' -> word("null", null)
                else -> number()
            }
        }

        private fun <T> nested(read: () -> T): T {
            if (++depth > MAX_DEPTH) fail("at most $MAX_DEPTH levels")
            at++
            space()
            return read().also { depth-- }
        }

        private fun map(): Map<String, Any?> {
            val found = LinkedHashMap<String, Any?>()
            if (skip('}')) return found
            do {
                space()
                val name = string()
                space()
                if (!skip(':')) fail("':'")
                if (name in found) fail("each name once, '$name' is there twice")
                found[name] = value()
                space()
            } while (skip(','))
            if (!skip('}')) fail("'}'")
            return found
        }

        private fun list(): List<Any?> {
            val found = ArrayList<Any?>()
            if (skip(']')) return found
            do {
                found += value()
                space()
            } while (skip(','))
            if (!skip(']')) fail("']'")
            return found
        }

        private fun string(): String {
            if (!skip('"')) fail("a string")
            val found = StringBuilder()
            while (true) {
                val c = peek() ?: fail("'\"'")
                at++
                when {
                    c == '"' -> return found.toString()
                    c < ' ' -> fail("no control character in a string")
                    c != '\\' -> found.append(c)
                    else -> found.append(escaped())
                }
            }
        }

        private fun escaped(): Char {
            val c = peek() ?: fail("an escape")
            at++
            if (c == 'u') {
                val digits = text.substring(at, minOf(at + 4, text.length))
                if (!HEX.matches(digits)) fail("four hexadecimal digits")
                at += 4
                return digits.toInt(16).toChar()
            }
            val place = "\"\\/bfnrt".indexOf(c)
            if (place < 0) fail("an escape")
            return "\"\\/\b\u000c\n\r\t"[place]
        }

        private fun number(): Double {
            val match = NUMBER.find(text, at)
            if (match == null || match.range.first != at) fail("a value")
            at = match.range.last + 1
            return match.value.toDouble().also { if (!it.isFinite()) fail("a finite number") }
        }

        private fun <T> word(word: String, value: T): T {
            if (!text.startsWith(word, at)) fail("a value")
            at += word.length
            return value
        }

        private fun space() {
            while (at < text.length && text[at] in " \t\n\r") at++
        }

        private fun peek(): Char? = text.getOrNull(at)

        private fun skip(c: Char): Boolean = (peek() == c).also { if (it) at++ }

        private fun fail(expected: String): Nothing =
            throw IllegalArgumentException("expected $expected at character $at of the JSON")
    }

    private const val MAX_DEPTH = 64
    private val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
    private val HEX = Regex("[0-9a-fA-F]{4}")
}
