package io.sentio.jvm

import com.sun.jna.Memory
import com.sun.jna.NativeLong
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import io.sentio.Answer
import io.sentio.Card
import io.sentio.Engine
import io.sentio.SentioError
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer

/**
 * A model on the LiteRT library of a computer, so that the code of the phone is tested with the real model.
 *
 * Throws [SentioError] for a file that is no usable model.
 */
class LiteRtEngine(model: File, private val lib: LiteRt, threads: Int = 1) : Engine {
    override val card: Card
    private val cleanup = ArrayDeque<() -> Unit>()
    private val compiled: Pointer
    private val signature: Int
    private val input: Tensor
    private val outputs: List<Tensor>

    /** Kept from the garbage collector as long as the library may call it. */
    private val keep = object : LiteRt.Destroy {
        override fun invoke(data: Pointer?) = Unit
    }

    private class Tensor(val name: String, val shape: IntArray, val buffer: Pointer) {
        val size: Int get() = shape.fold(1, Int::times)
    }

    init {
        val bytes = try {
            model.readBytes()
        } catch (error: IOException) {
            throw SentioError(
                SentioError.Kind.MODEL_MISSING,
                "expected a model, received $model, which cannot be read; check the name",
                error,
            )
        }
        card = Card.of(ByteBuffer.wrap(bytes))
        try {
            val environment = create("environment", lib::LiteRtDestroyEnvironment) {
                val options = Memory(8L * LiteRt.ENVIRONMENT.size).apply { write(0, LiteRt.ENVIRONMENT, 0, LiteRt.ENVIRONMENT.size) }
                lib.LiteRtCreateEnvironment(LiteRt.ENVIRONMENT.size / 3, options, it)
            }
            val memory = Memory(bytes.size.toLong()).apply { write(0, bytes, 0, bytes.size) }
            cleanup.addFirst { memory.close() }
            val handle = create("model", lib::LiteRtDestroyModel) {
                lib.LiteRtCreateModelFromBuffer(environment, memory, NativeLong(memory.size()), it)
            }
            signature = findSignature(handle)
            val named = get("signature") { lib.LiteRtGetModelSignature(handle, NativeLong(signature.toLong()), it) }
            val inputs = (0 until count { lib.LiteRtGetNumSignatureInputs(named, it) }).map { i ->
                tensor(
                    environment,
                    get("name") { lib.LiteRtGetSignatureInputName(named, i.size, it) },
                    get("tensor") { lib.LiteRtGetSignatureInputTensorByIndex(named, i.size, it) },
                )
            }
            outputs = (0 until count { lib.LiteRtGetNumSignatureOutputs(named, it) }).map { i ->
                tensor(
                    environment,
                    get("name") { lib.LiteRtGetSignatureOutputName(named, i.size, it) },
                    get("tensor") { lib.LiteRtGetSignatureOutputTensorByIndex(named, i.size, it) },
                )
            }
            card.check(inputs.associate { it.name to it.shape }, outputs.associate { it.name to it.shape })
            input = inputs.single()
            compiled = compile(environment, handle, threads)
        } catch (error: SentioError) {
            close()
            throw error
        }
    }

    override fun run(samples: FloatArray): Answer {
        require(samples.size == input.size) { "expected ${input.size} samples, received ${samples.size}" }
        locked(input, LiteRt.WRITE) { it.write(0, samples, 0, samples.size) }
        val status = lib.LiteRtRunCompiledModel(
            compiled,
            signature.size,
            NativeLong(1),
            arrayOf(input.buffer),
            outputs.size.size,
            outputs.map { it.buffer }.toTypedArray(),
        )
        if (status != 0) throw failed("answer", status)
        val values = outputs.associate { output -> output.name to locked(output, LiteRt.READ) { floatsOf(it, output.size) } }
        return Answer.of(values, card.signature)
    }

    override fun close() {
        while (cleanup.isNotEmpty()) cleanup.removeFirst()()
    }

    private fun findSignature(model: Pointer): Int {
        val names = (0 until count { lib.LiteRtGetNumModelSignatures(model, it) }).map { i ->
            val signature = get("signature") { lib.LiteRtGetModelSignature(model, i.size, it) }
            get("name") { lib.LiteRtGetSignatureKey(signature, it) }.getString(0)
        }
        val found = names.indexOf(card.signature.name)
        if (found >= 0) return found
        throw SentioError(
            SentioError.Kind.MODEL_UNUSABLE,
            "expected a model with a signature ${card.signature.name}, received $names; export the model again",
        )
    }

    private fun tensor(environment: Pointer, name: Pointer, tensor: Pointer): Tensor {
        val type = Memory(LiteRt.TYPE_BYTES).apply { clear() }
        val status = lib.LiteRtGetRankedTensorType(tensor, type)
        if (status != 0 || type.getInt(0) != LiteRt.FLOAT32) throw failed("give float32 as ${name.getString(0)}", status)
        val shape = IntArray(type.getInt(4)) { type.getInt(8L + 4 * it) }
        val bytes = NativeLong(4L * shape.fold(1, Int::times))
        val buffer = create("buffer", lib::LiteRtDestroyTensorBuffer) {
            lib.LiteRtCreateManagedTensorBuffer(environment, LiteRt.HOST_MEMORY, type, bytes, it)
        }
        return Tensor(name.getString(0), shape, buffer)
    }

    private fun compile(environment: Pointer, model: Pointer, threads: Int): Pointer {
        val options = create("options", lib::LiteRtDestroyOptions, lib::LiteRtCreateOptions)
        lib.LiteRtSetOptionsHardwareAccelerators(options, LiteRt.CPU)
        val text = textOf("num_threads = $threads\n")
        cleanup.addLast { text.close() }
        val opaque = get("options") { lib.LiteRtCreateOpaqueOptions("xnnpack", text, keep, it) }
        lib.LiteRtAddOpaqueOptions(options, opaque)
        return create("compiled model", lib::LiteRtDestroyCompiledModel) {
            lib.LiteRtCreateCompiledModel(environment, model, options, it)
        }
    }

    private fun <T> locked(tensor: Tensor, mode: Int, use: (Pointer) -> T): T {
        val address = get("memory") { lib.LiteRtLockTensorBuffer(tensor.buffer, it, mode) }
        try {
            return use(address)
        } finally {
            lib.LiteRtUnlockTensorBuffer(tensor.buffer)
        }
    }

    /** A handle that [close] destroys, the youngest first. */
    private fun create(what: String, destroy: (Pointer) -> Unit, make: (PointerByReference) -> Int): Pointer =
        get(what, make).also { handle -> cleanup.addFirst { destroy(handle) } }

    private fun get(what: String, make: (PointerByReference) -> Int): Pointer {
        val found = PointerByReference()
        val status = make(found)
        return found.value.takeIf { status == 0 } ?: throw failed("give its $what", status)
    }

    private fun count(read: (SizeReference) -> Int): Int = SizeReference().also { read(it) }.value

    private fun failed(what: String, status: Int) = SentioError(
        SentioError.Kind.MODEL_UNUSABLE,
        "expected the model to $what, received status $status of LiteRT; export the model again or update LiteRT",
    )

    private val Int.size: NativeLong get() = NativeLong(toLong())
}
