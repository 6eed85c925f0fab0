package io.sentio.app

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.w3c.dom.Document
import org.w3c.dom.Element
import java.io.File
import java.util.Locale
import javax.xml.parsers.DocumentBuilderFactory

private const val ANDROID = "http://schemas.android.com/apk/res/android"

/** What can be said of manifest and resources without a phone; that every reference exists `tools/r_class.py` checks. */
class ResourcesTest {
    private val main = File(System.getProperty("repository.root")).resolve("mobile/android/app/src/main")
    private val resources = main.resolve("res").walk().filter { it.extension == "xml" }.toList()
    private val code = main.resolve("kotlin").walk().filter { it.extension == "kt" }.toList()

    private fun parse(file: File): Document =
        DocumentBuilderFactory.newInstance().apply { isNamespaceAware = true }.newDocumentBuilder().parse(file)

    private fun Document.all(tag: String): List<Element> =
        getElementsByTagNameNS("*", tag).let { nodes -> (0 until nodes.length).map { nodes.item(it) as Element } }

    private fun Element.android(name: String): String? = getAttributeNS(ANDROID, name).ifEmpty { null }

    private fun values(folder: String, tag: String): Map<String, Element> =
        main.resolve("res/$folder").listFiles().orEmpty().flatMap { parse(it).all(tag) }.associateBy { it.getAttribute("name") }

    private fun strings(): Map<String, String> = values("values", "string").mapValues { it.value.textContent }

    @Test
    fun `the manifest asks for the microphone only`() {
        val manifest = parse(main.resolve("AndroidManifest.xml"))
        val permissions = listOf("uses-permission", "uses-permission-sdk-23").flatMap { tag -> manifest.all(tag) }.map { it.android("name") }
        assertEquals(listOf<String?>("android.permission.RECORD_AUDIO"), permissions)
        assertEquals("false", manifest.all("uses-feature").single().android("required"))
        assertEquals("false", manifest.all("application").single().android("allowBackup"))
    }

    @Test
    fun `only the screen that starts the app is open to others`() {
        val activities = parse(main.resolve("AndroidManifest.xml")).all("activity")
        val exported = activities.associate { it.android("name")?.substringAfterLast('.') to it.android("exported") }
        assertEquals(mapOf("MainActivity" to "true", "BenchmarkActivity" to "false"), exported)
        for (activity in activities) Class.forName(activity.android("name"), false, javaClass.classLoader)
    }

    @Test
    fun `nothing of the network in the code`() {
        for (file in code) assertTrue("java.net" !in file.readText() && "android.webkit" !in file.readText(), file.name)
    }

    @Test
    fun `every resource is used`() {
        val text = (resources + code + main.resolve("AndroidManifest.xml")).joinToString("\n") { it.readText() }
        for (kind in listOf("string", "color", "dimen", "plurals")) {
            for (name in values("values", kind).keys) {
                assertTrue(Regex("(R\\.$kind\\.|@$kind/)$name\\b").containsMatchIn(text), "$kind $name is not used")
            }
        }
    }

    @Test
    fun `colours of the night are those of the day`() {
        assertEquals(values("values", "color").keys, values("values-night", "color").keys)
    }

    @Test
    fun `colours of text can be read on their background`() {
        for (folder in listOf("values", "values-night")) {
            val colours = values(folder, "color").mapValues { luminance(it.value.textContent) }
            for (name in listOf("text", "text_secondary", "accent", "valence", "arousal")) {
                val (dark, light) = listOf(colours.getValue(name), colours.getValue("background")).sorted()
                val contrast = (light + 0.05) / (dark + 0.05)
                assertTrue(contrast >= 4.5, "$folder $name: $contrast") // WCAG AA
            }
        }
    }

    private fun luminance(colour: String): Double {
        val parts = colour.removePrefix("#").chunked(2).map { it.toInt(16) / 255.0 }
        val (red, green, blue) = parts.map { if (it <= 0.04045) it / 12.92 else Math.pow((it + 0.055) / 1.055, 2.4) }
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    @Test
    fun `layouts hold no text of their own`() {
        for (file in resources.filter { it.parentFile.name.startsWith("layout") || it.parentFile.name == "menu" }) {
            for (element in parse(file).all("*")) {
                for (name in listOf("text", "title", "hint", "contentDescription")) {
                    val value = element.android(name) ?: continue
                    assertTrue(value.startsWith("@string/"), "${file.name}: $value")
                }
            }
        }
    }

    @Test
    fun `every layout of a screen has the same views`() {
        fun ids(file: File): Set<String> = parse(file).all("*").flatMap { element ->
            val included = element.getAttribute("layout").ifEmpty { null }?.substringAfter('/')
            listOfNotNull(element.android("id")) + included?.let { ids(main.resolve("res/layout/$it.xml")) }.orEmpty()
        }.toSet()
        for (file in main.resolve("res/layout-land").listFiles().orEmpty()) {
            assertEquals(ids(main.resolve("res/layout/${file.name}")), ids(file))
        }
    }

    @Test
    fun `a view of the code is in the layout of its screen`() {
        for ((activity, layout) in mapOf("MainActivity" to "activity_main", "BenchmarkActivity" to "activity_benchmark")) {
            val source = code.single { it.nameWithoutExtension == activity }.readText()
            assertTrue("R.layout.$layout" in source)
            val wanted = Regex("view<(\\w+)>\\(R\\.id\\.(\\w+)\\)").findAll(source).map { it.groupValues[2] to it.groupValues[1] }
            val found = HashMap<String, String>()
            fun read(name: String) {
                for (element in parse(main.resolve("res/layout/$name.xml")).all("*")) {
                    element.android("id")?.let { found[it.substringAfter('/')] = element.tagName.substringAfterLast('.') }
                    element.getAttribute("layout").ifEmpty { null }?.let { read(it.substringAfter('/')) }
                }
            }
            read(layout)
            assertTrue(wanted.any())
            for ((id, type) in wanted) assertEquals(type, found[id], "$layout: $id")
        }
    }

    @Test
    fun `texts with numbers can be written`() {
        val samples = mapOf<String, Any>("f" to 0.5, "d" to 3, "s" to "x")
        val texts = strings() + values("values", "plurals").flatMap { (name, element) ->
            val items = element.getElementsByTagName("item")
            (0 until items.length).map { "$name $it" to items.item(it).textContent }
        }
        for ((name, text) in texts) {
            val places = Regex("%(\\d+)\\$[-+.0-9]*([a-z])").findAll(text).toList()
            assertTrue(Regex("%(?!%|\\d+\\$)").find(text.replace("%%", "")) == null, "$name: a place without its number")
            assertEquals(places.map { it.groupValues[1].toInt() }.toSet(), (1..places.size).toSet(), name)
            val values = places.sortedBy { it.groupValues[1].toInt() }.map<MatchResult, Any> { samples.getValue(it.groupValues[2]) }
            assertTrue(text.format(Locale.ROOT, *values.toTypedArray()).isNotEmpty(), name)
        }
    }

    @Test
    fun `texts get as many values as they have places`() {
        val source = code.joinToString("\n") { it.readText() }
        for ((name, text) in strings()) {
            val places = Regex("%\\d+\\$").findAll(text).count()
            for (call in Regex("getString\\(\\s*R\\.string\\.$name\\b").findAll(source)) {
                assertEquals(places, arguments(source, call.range.last + 1), name)
            }
        }
    }

    /** Arguments of a call behind its first one, which ends at [from]. */
    private fun arguments(source: String, from: Int): Int {
        var depth = 1
        var count = 0
        var at = from
        var fresh = false // a comma may be the trailing one
        while (depth > 0) {
            val c = source[at++]
            when {
                c == '(' || c == '{' -> depth++
                c == ')' || c == '}' -> depth--
                c == ',' && depth == 1 -> fresh = true
            }
            if (fresh && !c.isWhitespace() && c != ',' && c != ')') {
                count++
                fresh = false
            }
        }
        return count
    }

    @Test
    fun `the words of the axes and moods are those of every platform`() {
        val strings = strings()
        assertEquals("sentio", strings["app_name"])
        assertEquals(
            listOf("unpleasant", "pleasant", "calm", "energetic"),
            listOf("unpleasant", "pleasant", "calm", "energetic").map { strings["axis_$it"] },
        )
        for (mood in io.sentio.Circumplex.Mood.values()) assertEquals(mood.word, strings["mood_${mood.word}"])
    }
}
