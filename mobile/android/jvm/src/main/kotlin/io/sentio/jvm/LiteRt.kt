package io.sentio.jvm

import com.sun.jna.Callback
import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.NativeLong
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import io.sentio.SentioError
import java.io.File

/**
 * The part of the LiteRT C API (2.3) that runs a model. Handles are opaque pointers, a status of 0 is success.
 *
 * The names are those of the library.
 */
@Suppress("FunctionName")
interface LiteRt : Library {
    /** [options] are [count] structs of tag (int64), type of value (int64), value (int64). */
    fun LiteRtCreateEnvironment(count: Int, options: Pointer?, environment: PointerByReference): Int
    fun LiteRtDestroyEnvironment(environment: Pointer)

    /** The [bytes] must outlive the model. */
    fun LiteRtCreateModelFromBuffer(env: Pointer, bytes: Pointer, size: NativeLong, model: PointerByReference): Int
    fun LiteRtDestroyModel(model: Pointer)
    fun LiteRtGetNumModelSignatures(model: Pointer, count: SizeReference): Int
    fun LiteRtGetModelSignature(model: Pointer, index: NativeLong, signature: PointerByReference): Int
    fun LiteRtGetSignatureKey(signature: Pointer, key: PointerByReference): Int
    fun LiteRtGetNumSignatureInputs(signature: Pointer, count: SizeReference): Int
    fun LiteRtGetNumSignatureOutputs(signature: Pointer, count: SizeReference): Int
    fun LiteRtGetSignatureInputName(signature: Pointer, index: NativeLong, name: PointerByReference): Int
    fun LiteRtGetSignatureOutputName(signature: Pointer, index: NativeLong, name: PointerByReference): Int
    fun LiteRtGetSignatureInputTensorByIndex(signature: Pointer, index: NativeLong, tensor: PointerByReference): Int
    fun LiteRtGetSignatureOutputTensorByIndex(signature: Pointer, index: NativeLong, tensor: PointerByReference): Int

    /** [type] is a struct of element type, rank and 8 dimensions (int32 each), and strides. */
    fun LiteRtGetRankedTensorType(tensor: Pointer, type: Pointer): Int

    fun LiteRtCreateOptions(options: PointerByReference): Int
    fun LiteRtDestroyOptions(options: Pointer)
    fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int

    /** [data] is text; the options own it until they call [destroy]. */
    fun LiteRtCreateOpaqueOptions(name: String, data: Pointer, destroy: Destroy, options: PointerByReference): Int
    fun LiteRtAddOpaqueOptions(options: Pointer, opaque: Pointer): Int

    fun LiteRtCreateCompiledModel(env: Pointer, model: Pointer, options: Pointer, compiled: PointerByReference): Int
    fun LiteRtDestroyCompiledModel(compiled: Pointer)
    fun LiteRtRunCompiledModel(
        compiled: Pointer,
        signature: NativeLong,
        inputCount: NativeLong,
        inputs: Array<Pointer>,
        outputCount: NativeLong,
        outputs: Array<Pointer>,
    ): Int

    fun LiteRtCreateManagedTensorBuffer(
        env: Pointer,
        memory: Int,
        type: Pointer,
        size: NativeLong,
        buffer: PointerByReference,
    ): Int
    fun LiteRtDestroyTensorBuffer(buffer: Pointer)
    fun LiteRtLockTensorBuffer(buffer: Pointer, address: PointerByReference, mode: Int): Int
    fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int

    interface Destroy : Callback {
        fun invoke(data: Pointer?)
    }

    companion object {
        const val LIBRARY = "SENTIO_LITERT"
        const val CPU = 1
        const val HOST_MEMORY = 1
        const val READ = 0
        const val WRITE = 1
        const val FLOAT32 = 1
        const val TYPE_BYTES = 128L // more than the struct has in any version

        /** Environment options: log errors only; register no accelerator but the processor's. */
        val ENVIRONMENT = longArrayOf(25, 2, 3, 24, 2, CPU.toLong())

        /**
         * `libLiteRt.so` of the Python package ai-edge-litert: where `SENTIO_LITERT` says, else in `.venv` of the
         * repository at [root]. Throws [SentioError] if it is in neither place.
         */
        fun find(root: File, environment: Map<String, String> = System.getenv()): File {
            environment[LIBRARY]?.let { path ->
                return File(path).takeIf { it.isFile } ?: throw missing("no file at $LIBRARY=$path")
            }
            val pythons = root.resolve(".venv/lib").listFiles { file -> file.name.startsWith("python") }.orEmpty()
            return pythons.map { it.resolve("site-packages/ai_edge_litert/libLiteRt.so") }.firstOrNull { it.isFile }
                ?: throw missing("none in .venv and no $LIBRARY")
        }

        /** Throws [SentioError] if the file is no such library. */
        fun load(library: File): LiteRt = try {
            Native.load(library.path, LiteRt::class.java)
        } catch (error: UnsatisfiedLinkError) {
            throw missing("${library.name} that does not load", error)
        }

        private fun missing(received: String, cause: Throwable? = null) = SentioError(
            SentioError.Kind.MODEL_UNUSABLE,
            "expected the LiteRT library, received $received; run pip install ai-edge-litert==2.3.0 and set $LIBRARY " +
                "to the path of its libLiteRt.so",
            cause,
        )
    }
}

/** A `size_t *`. */
class SizeReference : com.sun.jna.ptr.ByReference(Native.SIZE_T_SIZE) {
    val value: Int get() = pointer.getNativeLong(0).toInt()
}

internal fun floatsOf(address: Pointer, count: Int): FloatArray = address.getFloatArray(0, count)

internal fun textOf(text: String): Memory = Memory(text.length + 1L).apply { setString(0, text) }
