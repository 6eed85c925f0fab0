package io.sentio

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class GeometryTest {
    @Test
    fun `pleasant is right and energetic is up, in a square`() {
        val wide = CircumplexGeometry(300f, 200f, 20f)
        assertEquals(80f, wide.radius)
        assertEquals(listOf(150f, 230f, 70f), listOf(0.0, 1.0, -1.0).map(wide::x))
        assertEquals(listOf(100f, 20f, 180f), listOf(0.0, 1.0, -1.0).map(wide::y))
        assertEquals(wide.x(1.0), wide.x(1.7), "outside lies on the edge")
        assertEquals(0f, CircumplexGeometry(30f, 10f, 20f).radius, "a view without room")
    }

    @Test
    fun `time runs from the left to the right edge and back`() {
        val plot = TimelineGeometry(10f, 0f, 210f, 100f, 60.0)
        assertEquals(listOf(10f, 110f, 210f, 210f), listOf(0.0, 30.0, 60.0, 90.0).map(plot::x))
        for (seconds in listOf(0.0, 1.5, 29.0, 60.0)) assertEquals(seconds, plot.seconds(plot.x(seconds)), 1e-4)
        assertEquals(0.0, plot.seconds(-50f))
        assertEquals(60.0, plot.seconds(500f))
        assertEquals(listOf(100f, 50f, 0f), listOf(-1.0, 0.0, 1.0).map(plot::y))
        val none = TimelineGeometry(10f, 0f, 10f, 0f, 0.0)
        assertEquals(listOf(10f, 0.0), listOf(none.x(5.0), none.seconds(10f)))
        assertEquals(listOf(0.0), none.ticks(40f))
    }

    @Test
    fun `ticks are round and not too dense`() {
        for (duration in listOf(0.5, 12.0, 47.3, 200.0, 3600.0, 86_400.0, 1e6)) {
            for (width in listOf(100f, 320f, 2000f)) {
                val plot = TimelineGeometry(0f, 0f, width, 100f, duration)
                val ticks = plot.ticks(60f)
                assertEquals(0.0, ticks.first())
                assertTrue(ticks.last() <= duration)
                assertTrue(ticks.zipWithNext().all { (a, b) -> plot.x(b) - plot.x(a) >= 59.9f }, "$duration, $width")
            }
        }
        assertEquals(listOf(0.0, 15.0, 30.0, 45.0), TimelineGeometry(0f, 0f, 320f, 1f, 47.0).ticks(100f))
    }

    @Test
    fun `times of a clock`() {
        val expected = mapOf(0.0 to "0:00", 9.99 to "0:09", 75.0 to "1:15", 3599.0 to "59:59", 3675.0 to "1:01:15", -1.0 to "0:00")
        assertEquals(expected, expected.keys.associateWith(TimelineGeometry::clock))
    }
}
