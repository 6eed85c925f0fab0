package io.sentio

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The golden files that every language is tested on, and the model that ships. */
object Golden {
    val root = File(checkNotNull(System.getProperty("repository.root")) { "run the tests with Maven or Gradle" })
    val folder = root.resolve("mobile/golden")

    /** The live model of `models/registry.json`. */
    val model: File by lazy {
        val models = root.resolve("sentio_tf/models")
        val registry = json(models.resolve("registry.json"))
        val entry = registry.list("models").single { it.text("name") == registry.text("live") }
        models.resolve(entry.text("file"))
    }

    fun modelBytes(): ByteBuffer = ByteBuffer.wrap(model.readBytes())

    fun text(name: String): String = folder.resolve(name).readText()

    fun json(name: String): Map<String, Any?> = json(folder.resolve(name))

    fun floats(name: String): FloatArray {
        val view = ByteBuffer.wrap(folder.resolve(name).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(view.remaining()).also(view::get)
    }

    /** The golden card with some of its fields replaced, as JSON. */
    fun card(vararg changes: Pair<String, Any?>): String = Json.write(json("card.json") + changes)

    private fun json(file: File): Map<String, Any?> = Json.parse(file.readText()).tree()
}

@Suppress("UNCHECKED_CAST")
fun Any?.tree(): Map<String, Any?> = this as Map<String, Any?>

fun Map<String, Any?>.tree(name: String): Map<String, Any?> = getValue(name).tree()

fun Map<String, Any?>.list(name: String): List<Map<String, Any?>> = (getValue(name) as List<*>).map { it.tree() }

fun Map<String, Any?>.numbers(name: String): List<Double> = getValue(name).numbers()

fun Any?.numbers(): List<Double> = (this as List<*>).map { it as Double }

fun Map<String, Any?>.number(name: String): Double = getValue(name) as Double

fun Map<String, Any?>.int(name: String): Int = number(name).toInt()

fun Map<String, Any?>.text(name: String): String = getValue(name) as String

/** An engine that answers by a function instead of a model. */
class FakeEngine(override val card: Card, private val answer: (FloatArray) -> Answer) : Engine {
    override fun run(samples: FloatArray): Answer = answer(samples)

    override fun close() = Unit
}
