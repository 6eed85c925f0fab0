package io.sentio

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource
import java.util.Random

class JsonTest {
    @Test
    fun `values of every kind`() {
        val found = Json.parse(""" {"a": [1, -2.5, 1e3, 0], "b": {"c": null}, "d": true, "e": false, "f": "x"} """)
        val expected = mapOf(
            "a" to listOf(1.0, -2.5, 1000.0, 0.0),
            "b" to mapOf("c" to null),
            "d" to true,
            "e" to false,
            "f" to "x",
        )
        assertEquals(expected, found)
    }

    @Test
    fun `strings with escapes`() {
        assertEquals("\" \\ / \b \u000c \n \r \t é 😀", Json.parse("\"\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e9 \\ud83d\\ude00\""))
        assertEquals("\"a\\u000a\\\"\\\\ é\"", Json.write("a\n\"\\ é"))
    }

    @ParameterizedTest
    @ValueSource(
        strings = [
            "", " ", "{", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "'a'", "\"a", "\"a\nb\"",
            "\"\\x\"", "\"\\u12\"", "01", "+1", "1.", ".5", "1e", "--1", "NaN", "Infinity", "1e999", "nul", "fals", "1 2",
            "{\"a\":1,\"a\":2}", "// x\n1", "\"\\",
        ],
    )
    fun `text that is no JSON`(text: String) {
        assertThrows(IllegalArgumentException::class.java) { Json.parse(text) }
    }

    @Test
    fun `deep nesting is an error, no overflow of the stack`() {
        assertThrows(IllegalArgumentException::class.java) { Json.parse("[".repeat(100_000)) }
        assertEquals(listOf<Any?>(), generateSequence(Json.parse("[".repeat(64) + "]".repeat(64))) { (it as List<*>).firstOrNull() }.last())
    }

    @Test
    fun `what cannot be written`() {
        assertThrows(IllegalArgumentException::class.java) { Json.write(Double.NaN) }
        assertThrows(IllegalArgumentException::class.java) { Json.write(Float.POSITIVE_INFINITY) }
        assertThrows(IllegalArgumentException::class.java) { Json.write(listOf(Any())) }
    }

    @Test
    fun `what is written is read again`() {
        val random = Random(1)
        fun value(depth: Int): Any? = when (random.nextInt(if (depth > 3) 4 else 6)) {
            0 -> null
            1 -> random.nextBoolean()
            2 -> if (random.nextBoolean()) random.nextInt(1000).toDouble() else random.nextGaussian() * 1e-7
            3 -> String(CharArray(random.nextInt(9)) { (random.nextInt(0x3000) + 1).toChar() })
            4 -> List(random.nextInt(4)) { value(depth + 1) }
            else -> (0 until random.nextInt(4)).associate { "n$it" to value(depth + 1) }
        }
        repeat(500) { value(0).let { assertEquals(it, Json.parse(Json.write(it))) } }
    }
}
