package io.sentio.app

import android.content.Context
import io.sentio.Answer
import io.sentio.Card
import io.sentio.Engine
import io.sentio.SentioError
import org.tensorflow.lite.Interpreter
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/** The model among the app's assets on LiteRT's interpreter. One thread at a time may use it. */
class TfliteEngine private constructor(override val card: Card, private val interpreter: Interpreter) : Engine {
    private val waveform = floats(card.audio.samples)
    private val outputs: Map<String, FloatBuffer>

    init {
        val key = card.signature.name
        if (key !in interpreter.signatureKeys) {
            throw unusable("expected a model with a signature $key, received ${interpreter.signatureKeys.toList()}")
        }
        val shapes = interpreter.getSignatureOutputs(key).associateWith {
            interpreter.getOutputTensorFromSignature(it, key).shape()
        }
        card.check(
            interpreter.getSignatureInputs(key).associateWith {
                interpreter.getInputTensorFromSignature(it, key).shape()
            },
            shapes,
        )
        outputs = card.signature.outputs.associateWith { floats(shapes.getValue(it).fold(1, Int::times)) }
    }

    override fun run(samples: FloatArray): Answer {
        waveform.rewind()
        waveform.put(samples).rewind()
        outputs.values.forEach { it.rewind() }
        try {
            interpreter.runSignature(mapOf(card.signature.input to waveform), outputs, card.signature.name)
        } catch (error: RuntimeException) { // of whatever the interpreter finds
            throw SentioError(
                SentioError.Kind.MODEL_FAILED,
                "expected an answer of the model, received: ${error.message}; export the model again",
                error,
            )
        }
        return Answer.of(
            outputs.mapValues { (_, values) ->
                values.rewind()
                FloatArray(values.remaining()).also(values::get)
            },
            card.signature,
        )
    }

    override fun close() = interpreter.close()

    companion object {
        /** Gradle and tools/apk.sh copy the model to this name. */
        const val ASSET = "sentio.tflite"

        /** More threads do not make a window faster. */
        val threads: Int = minOf(4, Runtime.getRuntime().availableProcessors())

        /** Throws [SentioError] if there is no model in the assets, or it cannot be used. */
        fun load(context: Context, asset: String = ASSET): TfliteEngine {
            val bytes = try {
                context.assets.open(asset).use { it.readBytes() }
            } catch (error: IOException) {
                throw SentioError(
                    SentioError.Kind.MODEL_MISSING,
                    "expected a model among the assets, received none called $asset; build the app with Gradle",
                    error,
                )
            }
            val model = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).put(bytes)
            model.rewind()
            val card = Card.of(model)
            val interpreter = try {
                Interpreter(model, Interpreter.Options().setNumThreads(threads))
            } catch (error: RuntimeException) {
                throw unusable("expected a model that loads, received: ${error.message}", error)
            } catch (error: UnsatisfiedLinkError) {
                throw unusable("expected LiteRT for this processor, received none", error)
            }
            try {
                return TfliteEngine(card, interpreter)
            } catch (error: SentioError) {
                interpreter.close()
                throw error
            }
        }

        private fun floats(count: Int): FloatBuffer =
            ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer()

        private fun unusable(what: String, cause: Throwable? = null) =
            SentioError(SentioError.Kind.MODEL_UNUSABLE, "$what; export the model again or update the app", cause)
    }
}
