import CLiteRtHeader
import Foundation
import SentioKit

/// The functions of LiteRT's library, looked up in it by name.
///
/// Nothing is linked: a library that is missing or of another version is an error with a message rather than a process
/// that does not start, and the package builds where there is no LiteRT.
public final class LiteRtLibrary: @unchecked Sendable {  // pointers to functions, constant and safe to call anywhere
  let createEnvironment: LiteRtCreateEnvironmentFn
  let destroyEnvironment: LiteRtDestroyEnvironmentFn
  let createModel: LiteRtCreateModelFromBufferFn
  let destroyModel: LiteRtDestroyModelFn
  let signatures: LiteRtGetNumModelSignaturesFn
  let signature: LiteRtGetModelSignatureFn
  let signatureKey: LiteRtGetSignatureKeyFn
  let inputs: TensorFunctions
  let outputs: TensorFunctions
  let tensorType: LiteRtGetRankedTensorTypeFn
  let createOptions: LiteRtCreateOptionsFn
  let destroyOptions: LiteRtDestroyOptionsFn
  let setAccelerators: LiteRtSetOptionsHardwareAcceleratorsFn
  let createOpaqueOptions: LiteRtCreateOpaqueOptionsFn
  let addOpaqueOptions: LiteRtAddOpaqueOptionsFn
  let createCompiledModel: LiteRtCreateCompiledModelFn
  let destroyCompiledModel: LiteRtDestroyCompiledModelFn
  let runCompiledModel: LiteRtRunCompiledModelFn
  let createBuffer: LiteRtCreateManagedTensorBufferFromRequirementsFn
  let destroyBuffer: LiteRtDestroyTensorBufferFn
  let lockBuffer: LiteRtLockTensorBufferFn
  let unlockBuffer: LiteRtUnlockTensorBufferFn

  /// What inputs and outputs have alike.
  struct TensorFunctions {
    let count: LiteRtGetNumSignatureTensorsFn
    let name: LiteRtGetSignatureTensorNameFn
    let tensor: LiteRtGetSignatureTensorByIndexFn
    let requirements: LiteRtGetCompiledModelBufferRequirementsFn
  }

  /// - Parameter path: of the library; nil: the framework inside the app, else what the process has loaded.
  /// - Throws: `SentioError` if there is none, or it lacks a function.
  public init(path: String? = nil) throws {
    let path = path ?? Self.bundled
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw SentioError("expected LiteRT's library at \(path ?? "the process"), received none; link the app to LiteRT")
    }
    // Never closed: threads of it may still run.
    func find<Function>(_ name: String, _ type: Function.Type) throws -> Function {
      guard let symbol = dlsym(handle, name) else {
        throw SentioError("expected LiteRT 2.3 or newer, received a library without \(name); update LiteRT")
      }
      return unsafeBitCast(symbol, to: type)
    }
    func tensors(_ kind: String) throws -> TensorFunctions {
      TensorFunctions(
        count: try find("LiteRtGetNumSignature\(kind)s", LiteRtGetNumSignatureTensorsFn.self),
        name: try find("LiteRtGetSignature\(kind)Name", LiteRtGetSignatureTensorNameFn.self),
        tensor: try find("LiteRtGetSignature\(kind)TensorByIndex", LiteRtGetSignatureTensorByIndexFn.self),
        requirements: try find(
          "LiteRtGetCompiledModel\(kind)BufferRequirements", LiteRtGetCompiledModelBufferRequirementsFn.self))
    }
    createEnvironment = try find("LiteRtCreateEnvironment", LiteRtCreateEnvironmentFn.self)
    destroyEnvironment = try find("LiteRtDestroyEnvironment", LiteRtDestroyEnvironmentFn.self)
    createModel = try find("LiteRtCreateModelFromBuffer", LiteRtCreateModelFromBufferFn.self)
    destroyModel = try find("LiteRtDestroyModel", LiteRtDestroyModelFn.self)
    signatures = try find("LiteRtGetNumModelSignatures", LiteRtGetNumModelSignaturesFn.self)
    signature = try find("LiteRtGetModelSignature", LiteRtGetModelSignatureFn.self)
    signatureKey = try find("LiteRtGetSignatureKey", LiteRtGetSignatureKeyFn.self)
    inputs = try tensors("Input")
    outputs = try tensors("Output")
    tensorType = try find("LiteRtGetRankedTensorType", LiteRtGetRankedTensorTypeFn.self)
    createOptions = try find("LiteRtCreateOptions", LiteRtCreateOptionsFn.self)
    destroyOptions = try find("LiteRtDestroyOptions", LiteRtDestroyOptionsFn.self)
    setAccelerators = try find("LiteRtSetOptionsHardwareAccelerators", LiteRtSetOptionsHardwareAcceleratorsFn.self)
    createOpaqueOptions = try find("LiteRtCreateOpaqueOptions", LiteRtCreateOpaqueOptionsFn.self)
    addOpaqueOptions = try find("LiteRtAddOpaqueOptions", LiteRtAddOpaqueOptionsFn.self)
    createCompiledModel = try find("LiteRtCreateCompiledModel", LiteRtCreateCompiledModelFn.self)
    destroyCompiledModel = try find("LiteRtDestroyCompiledModel", LiteRtDestroyCompiledModelFn.self)
    runCompiledModel = try find("LiteRtRunCompiledModel", LiteRtRunCompiledModelFn.self)
    createBuffer = try find(
      "LiteRtCreateManagedTensorBufferFromRequirements", LiteRtCreateManagedTensorBufferFromRequirementsFn.self)
    destroyBuffer = try find("LiteRtDestroyTensorBuffer", LiteRtDestroyTensorBufferFn.self)
    lockBuffer = try find("LiteRtLockTensorBuffer", LiteRtLockTensorBufferFn.self)
    unlockBuffer = try find("LiteRtUnlockTensorBuffer", LiteRtUnlockTensorBufferFn.self)
  }

  /// The dynamic framework of LiteRT's Swift package, where Xcode puts it.
  private static var bundled: String? {
    let place = Bundle.main.privateFrameworksURL?.appendingPathComponent("CLiteRT.framework/CLiteRT")
    return place.flatMap { FileManager.default.fileExists(atPath: $0.path) ? $0.path : nil }
  }
}
