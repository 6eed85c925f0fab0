package io.sentio

import java.nio.ByteBuffer

/** What a model says of itself: every number that the code here computes with. */
class Card private constructor(
    val name: String,
    val licence: String,
    val audio: Audio,
    val windows: WindowRule,
    val signature: Signature,
    val kernel: Kernel,
    /** Error of the model on songs that it did not see, one standard deviation; null where the card has none. */
    val uncertainty: Deviation?,
    /** Largest distance from the training music that still counts as alike; null where the card has none. */
    val threshold: Double?,
) {
    /** Mono, [samples] of them at [sampleRate] Hz, in [[low], [high]]. */
    class Audio(val sampleRate: Int, val samples: Int, val low: Float, val high: Float)

    /** Step between windows [s], shortest tail that is worth a window [s], peak below which a window is silence. */
    class WindowRule(val hopS: Double, val minTailS: Double, val silencePeak: Double)

    /** Names of the signature and its tensors; [distance] and [deviation] are outputs that a model may lack. */
    class Signature(
        val name: String,
        val input: String,
        val output: String,
        val distance: String?,
        val deviation: String?,
    ) {
        val outputs: List<String> get() = listOfNotNull(output, distance, deviation)
    }

    /** Of the resampler: a sinc of [taps] under a Kaiser window of [beta], cut off at [cutoff] of the lower Nyquist. */
    class Kernel(val taps: Int, val beta: Double, val cutoff: Double)

    /**
     * Throws [SentioError] unless a model has the signature that this card promises.
     *
     * [inputs] and [outputs] are shapes by name.
     */
    fun check(inputs: Map<String, IntArray>, outputs: Map<String, IntArray>) {
        val sizes = mapOf(signature.output to 2, signature.distance to 1, signature.deviation to 2)
        val wrong = signature.outputs.filter { outputs[it]?.fold(1, Int::times) != sizes[it] }
        val given = inputs[signature.input]
        if (wrong.isEmpty() && inputs.size == 1 && given?.toList() == listOf(1, audio.samples)) return
        throw SentioError(
            SentioError.Kind.MODEL_UNUSABLE,
            "expected ${signature.name}(${signature.input} [1, ${audio.samples}]) -> ${signature.outputs}, " +
                "received ${describe(inputs)} -> ${describe(outputs)}; export the model again",
        )
    }

    private fun describe(shapes: Map<String, IntArray>): String =
        shapes.entries.joinToString(prefix = "(", postfix = ")") { (name, shape) -> "$name ${shape.toList()}" }

    companion object {
        const val SCHEMA = "sentio/1"
        const val ENTRY = "sentio.json"

        /** The card inside a `.tflite`. Throws [SentioError] for another file, or one without a usable card. */
        fun of(file: ByteBuffer): Card {
            val entry = Metadata.read(file, ENTRY) ?: throw SentioError(
                SentioError.Kind.CARD,
                "expected a model with a card, received one without; export it with sentio-tf export",
            )
            return parse(String(entry, Charsets.UTF_8))
        }

        /** A card from its JSON. Throws [SentioError] for other text, another schema, or an unusable value. */
        fun parse(text: String): Card {
            val values = try {
                Json.parse(text)
            } catch (error: IllegalArgumentException) {
                throw SentioError(
                    SentioError.Kind.CARD,
                    "expected a card in JSON, received text that does not parse (${error.message}); " +
                        "export the model again",
                    error,
                )
            }
            val schema = (values as? Map<*, *>)?.get("schema")
            if (schema != SCHEMA) {
                throw SentioError(
                    SentioError.Kind.CARD_SCHEMA,
                    "expected a model with a card of $SCHEMA, received ${schema ?: "none"}; update this app, " +
                        "or export the model again with its version of sentio-tf",
                )
            }
            return Reader(values).card()
        }
    }

    /** Collects the names of wrong values, so that one message names them all. */
    private class Reader(private val values: Map<*, *>) {
        private val bad = LinkedHashSet<String>()

        fun card(): Card {
            val rate = whole("audio.sample_rate")
            val samples = whole("audio.samples")
            val range = get("audio.value_range") as? List<*> ?: listOf(-1.0, 1.0)
            val low = range.getOrNull(0) as? Double
            val high = range.getOrNull(1) as? Double
            if (range.size != 2 || low == null || high == null || low >= high) bad += "audio.value_range"
            val card = Card(
                name = get("name") as? String ?: "",
                licence = get("licence") as? String ?: "",
                audio = Audio(rate, samples, low?.toFloat() ?: 0f, high?.toFloat() ?: 0f),
                windows = WindowRule(
                    hopS = number("windows.hop_s") { it > 0 && (bad.isNotEmpty() || it * rate <= samples) },
                    minTailS = number("windows.min_tail_s", OLD_MIN_TAIL_S) { it >= 0 },
                    silencePeak = number("windows.silence_peak") { it >= 0 },
                ),
                signature = Signature(
                    name = text("signature.name"),
                    input = text("signature.input"),
                    output = text("signature.output"),
                    distance = get("signature.distance")?.let { text("signature.distance") },
                    deviation = get("signature.deviation")?.let { text("signature.deviation") },
                ),
                kernel = kernel(),
                uncertainty = if (get("uncertainty.valence_std") == null || get("uncertainty.arousal_std") == null) {
                    null
                } else {
                    Deviation(
                        number("uncertainty.valence_std") { it >= 0 },
                        number("uncertainty.arousal_std") { it >= 0 },
                    )
                },
                threshold = get("domain.threshold")?.let { number("domain.threshold") { true } },
            )
            if (bad.isEmpty()) return card
            throw SentioError(
                SentioError.Kind.CARD,
                "expected a usable card, received a wrong value of ${bad.joinToString()}; export the model again",
            )
        }

        private fun kernel(): Kernel {
            val kind = get("resampler.kind")
            // Cards of before the filter was stated: their models were made for the same one.
            if (kind == null || kind == "soxr_hq") return Kernel(taps = 257, beta = 7.0, cutoff = 0.956)
            if (kind != "kaiser_sinc") bad += "resampler.kind"
            val taps = whole("resampler.taps")
            if (taps < 3 || taps % 2 == 0) bad += "resampler.taps"
            return Kernel(
                taps = taps,
                beta = number("resampler.beta") { it >= 0 },
                cutoff = number("resampler.cutoff") { it > 0 && it <= 1 },
            )
        }

        private fun get(path: String): Any? =
            path.split('.').fold<String, Any?>(values) { value, name -> (value as? Map<*, *>)?.get(name) }

        private fun number(path: String, default: Double? = null, good: (Double) -> Boolean): Double {
            val value = get(path) ?: default
            if (value is Double && good(value)) return value
            bad += path
            return 0.0
        }

        private fun whole(path: String): Int =
            number(path) { it > 0 && it <= Int.MAX_VALUE && it == Math.floor(it) }.toInt()

        private fun text(path: String): String = get(path) as? String ?: "".also { bad += path }
    }
}

// Of cards of before it was stated.
private const val OLD_MIN_TAIL_S = 1.0
