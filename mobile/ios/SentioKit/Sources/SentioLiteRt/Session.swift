import CLiteRtHeader
import Foundation
import SentioKit

/// What LiteRT holds for one model, given back in the inverse order.
final class Session {
  private let library: LiteRtLibrary
  private let card: Card
  private var bytes: UnsafeMutableRawBufferPointer?
  private var environment: LiteRtEnvironment?
  private var model: LiteRtModel?
  private var options: LiteRtOptions?
  private var compiled: LiteRtCompiledModel?
  private var signature = 0
  private var input: LiteRtTensorBuffer?
  private var outputs: [LiteRtTensorBuffer?] = []
  private var names: [String] = []  // of the outputs

  init(file: Data, card: Card, library: LiteRtLibrary, threads: Int) throws {
    self.library = library
    self.card = card
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: file.count, alignment: 64)
    bytes.copyBytes(from: file)
    self.bytes = bytes
    try check(library.createEnvironment(0, nil, &environment))
    try check(library.createModel(environment, bytes.baseAddress, bytes.count, &model))
    let predict = try findSignature()
    try prepareOptions(threads: threads)
    try check(library.createCompiledModel(environment, model, options, &compiled))
    try prepareBuffers(predict)
  }

  deinit {
    for buffer in outputs + [input] { buffer.map(library.destroyBuffer) }
    compiled.map(library.destroyCompiledModel)
    options.map(library.destroyOptions)
    model.map(library.destroyModel)
    environment.map(library.destroyEnvironment)
    bytes?.deallocate()
  }

  func run(_ samples: [Float]) throws -> Answer {
    guard samples.count == card.audio.samples else {
      throw SentioError("expected a window of \(card.audio.samples) samples, received \(samples.count)")
    }
    try locked(input, sentio_litert_write) { host in
      samples.withUnsafeBytes { host.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }
    try outputs.withUnsafeMutableBufferPointer { found in
      try check(library.runCompiledModel(compiled, signature, 1, &input, found.count, found.baseAddress))
    }
    let names = card.signature
    let point = try read(names.output, count: 2)
    let deviation = try names.deviation.map { try read($0, count: 2) }
    let distance = try names.distance.map { try read($0, count: 1)[0] }
    let all = point + (deviation ?? []) + [distance].compactMap { $0 }
    guard all.allSatisfy(\.isFinite) else { throw SentioError("the model answered NaN; export it again") }
    return Answer(
      valence: point[0], arousal: point[1], valenceStd: deviation?[0], arousalStd: deviation?[1], distance: distance)
  }

  private func findSignature() throws -> LiteRtSignature {
    var count = 0
    try check(library.signatures(model, &count))
    var keys: [String] = []
    for index in 0..<count {
      var found: LiteRtSignature?
      var key: UnsafePointer<CChar>?
      try check(library.signature(model, index, &found))
      try check(library.signatureKey(found, &key))
      guard let found, let key else { continue }
      keys.append(String(cString: key))
      if keys.last == card.signature.name {
        signature = index
        return found
      }
    }
    throw SentioError(
      "expected a model with the signature \(card.signature.name), received \(keys.joined(separator: ", ")); "
        + "export it again")
  }

  private func prepareOptions(threads: Int) throws {
    try check(library.createOptions(&options))
    try check(library.setAccelerators(options, Int32(sentio_litert_cpu)))
    // Options of the CPU are TOML under the name of its delegate.
    let payload = strdup("num_threads = \(threads)\n")
    var opaque: LiteRtOpaqueOptions?
    try check(library.createOpaqueOptions("xnnpack", payload, { free($0) }, &opaque))
    try check(library.addOpaqueOptions(options, opaque))
  }

  private func prepareBuffers(_ predict: LiteRtSignature) throws {
    let wanted = card.signature
    let received = try described(library.inputs, predict)
    let given = try described(library.outputs, predict)
    let shapes = Dictionary(given.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    func count(_ name: String?, _ size: Int) -> Bool { name.map { shapes[$0]?.reduce(1, *) == size } ?? true }
    let fits =
      received.map(\.name) == [wanted.input] && received[0].shape == [1, card.audio.samples]
      && count(wanted.output, 2) && count(wanted.deviation, 2) && count(wanted.distance, 1)
      && (received + given).allSatisfy { Int($0.type.element_type) == sentio_litert_float32 }
    guard fits else {
      func said(_ tensors: [Described]) -> String {
        tensors.map { "\($0.name) \($0.shape)" }.joined(separator: ", ")
      }
      throw SentioError(
        "expected \(wanted.name)(\(wanted.input) [1, \(card.audio.samples)]) -> \(wanted.output), "
          + "received \(said(received)) -> \(said(given)); export the model again")
    }
    input = try buffer(library.inputs, index: 0, received[0].type)
    for (index, tensor) in given.enumerated() {
      outputs.append(try buffer(library.outputs, index: index, tensor.type))
      names.append(tensor.name)
    }
  }

  private struct Described {
    let name: String
    let shape: [Int]
    let type: LiteRtRankedTensorType
  }

  private func described(
    _ functions: LiteRtLibrary.TensorFunctions, _ signature: LiteRtSignature
  ) throws -> [Described] {
    var count = 0
    try check(functions.count(signature, &count))
    return try (0..<count).map { index in
      var name: UnsafePointer<CChar>?
      var tensor: LiteRtTensor?
      var type = LiteRtRankedTensorType()
      try check(functions.name(signature, index, &name))
      try check(functions.tensor(signature, index, &tensor))
      try check(library.tensorType(tensor, &type))
      let shape = withUnsafeBytes(of: type.layout.dimensions) { raw in
        raw.bindMemory(to: Int32.self).prefix(Int(type.layout.rank)).map(Int.init)
      }
      return Described(name: name.map { String(cString: $0) } ?? "", shape: shape, type: type)
    }
  }

  private func buffer(
    _ functions: LiteRtLibrary.TensorFunctions, index: Int, _ type: LiteRtRankedTensorType
  ) throws -> LiteRtTensorBuffer? {
    var requirements: LiteRtTensorBufferRequirements?
    var made: LiteRtTensorBuffer?
    var type = type
    try check(functions.requirements(compiled, signature, index, &requirements))
    try check(library.createBuffer(environment, &type, requirements, &made))
    return made
  }

  private func read(_ name: String, count: Int) throws -> [Double] {
    guard let index = names.firstIndex(of: name) else { return [] }
    return try locked(outputs[index], sentio_litert_read) { host in
      (0..<count).map { Double(host.load(fromByteOffset: 4 * $0, as: Float.self)) }
    }
  }

  private func locked<Result>(
    _ buffer: LiteRtTensorBuffer?, _ mode: Int, _ body: (UnsafeMutableRawPointer) -> Result
  ) throws -> Result {
    var host: UnsafeMutableRawPointer?
    try check(library.lockBuffer(buffer, &host, Int32(mode)))
    defer { _ = library.unlockBuffer(buffer) }
    guard let host else { throw SentioError("LiteRT gave no memory; close other apps and try again") }
    return body(host)
  }

  private func check(_ status: LiteRtStatus) throws {
    switch status {
    case 0: return
    case 501: throw SentioError("the TFLite model is cut short or damaged; get it again")
    default:
      throw SentioError("the model does not load or run (LiteRT says \(status)); export it again or update this app")
    }
  }
}
