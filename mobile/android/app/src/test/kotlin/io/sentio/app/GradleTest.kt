package io.sentio.app

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File

/** What Gradle, which cannot be run everywhere, must share with Maven. */
class GradleTest {
    private val root = File(System.getProperty("repository.root"))
    private val project = root.resolve("mobile/android")
    private val app = project.resolve("app/build.gradle.kts").readText()

    private fun found(pattern: String, text: String): String =
        checkNotNull(Regex(pattern).find(text)) { "no $pattern" }.groupValues[1]

    @Test
    fun `versions of Kotlin and JUnit`() {
        val maven = project.resolve("pom.xml").readText()
        val gradle = project.resolve("build.gradle.kts").readText()
        val kotlin = found("<kotlin.version>(.*)</kotlin.version>", maven)
        assertEquals(kotlin, found("kotlin\\(\"jvm\"\\) version \"(.*?)\"", gradle))
        assertEquals(kotlin, found("kotlin\\(\"android\"\\) version \"(.*?)\"", gradle))
        val core = project.resolve("core/build.gradle.kts").readText()
        assertEquals(found("junit-jupiter</artifactId>\\s*<version>(.*)</version>", maven), found("junit-jupiter:(.*?)\"", core))
    }

    @Test
    fun `the oldest phone`() {
        assertEquals("26", found("minSdk = (\\d+)", app))
        // Android 8.0 is API level 26.
        assertTrue("<android.version>8.0.0_" in project.resolve("app/pom.xml").readText())
    }

    @Test
    fun `the model that the registry names is copied to where the app looks for it`() {
        assertTrue("rename { \"${TfliteEngine.ASSET}\" }" in app)
        assertTrue("sentio_tf/models" in app && "registry.json" in app)
        assertTrue(root.resolve("sentio_tf/models/registry.json").isFile)
    }
}
