import Foundation

/// The hash that a model's card states of its whole file.
public enum Seal {
  /// Damage inside of the network can end the process that runs it, so it is looked for before.
  ///
  /// The hash is that of the file with the 64 digits where the card states it as zeros; cards of older exports state none.
  ///
  /// - Throws: `SentioError` if the file is another than the card states.
  public static func check(_ file: Data) throws {
    guard let card = try metadataRange(of: file, name: Card.entry), let digits = digits(in: file, card) else { return }
    var content = [UInt8](file)
    let stated = String(decoding: content[digits], as: UTF8.self)
    content.replaceSubrange(digits, with: [UInt8](repeating: UInt8(ascii: "0"), count: digits.count))
    if sha256(content) != stated {
      throw SentioError("the TFLite model is not as it was exported, the hash in its card is another; get it again")
    }
  }

  /// Place of the 64 digits in the file.
  private static func digits(in file: Data, _ card: Range<Int>) -> Range<Int>? {
    let bytes = [UInt8](file)[card]
    let key = Array(#""content_sha256":"#.utf8)
    guard
      let found = bytes.indices.first(where: { bytes[$0...].starts(with: key) }),
      let quote = bytes[(found + key.count)...].firstIndex(where: { !" \n\r\t".utf8.contains($0) }),
      bytes[quote] == UInt8(ascii: "\""), quote + 65 < bytes.endIndex, bytes[quote + 65] == UInt8(ascii: "\""),
      bytes[(quote + 1)..<(quote + 65)].allSatisfy({ "0123456789abcdef".utf8.contains($0) })
    else { return nil }
    return (quote + 1)..<(quote + 65)
  }
}

/// SHA-256 in hexadecimal (FIPS 180-4).  Foundation has none, and CryptoKit is not where the tests run.
public func sha256(_ message: [UInt8]) -> String {
  var state: [UInt32] = (0..<8).map { fraction(of: Double(primes[$0]).squareRoot()) }
  var padded = message + [0x80]
  padded += [UInt8](repeating: 0, count: (120 - padded.count % 64) % 64)
  padded += (0..<8).reversed().map { UInt8(truncatingIfNeeded: (message.count * 8) >> (8 * $0)) }
  var schedule = [UInt32](repeating: 0, count: 64)
  for block in stride(from: 0, to: padded.count, by: 64) {
    for t in 0..<16 {
      schedule[t] = padded[(block + 4 * t)..<(block + 4 * t + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }
    for t in 16..<64 {
      let (early, late) = (schedule[t - 15], schedule[t - 2])
      schedule[t] =
        schedule[t - 16] &+ (rotate(early, 7) ^ rotate(early, 18) ^ early >> 3) &+ schedule[t - 7]
        &+ (rotate(late, 17) ^ rotate(late, 19) ^ late >> 10)
    }
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for t in 0..<64 {
      let choice = (e & f) ^ (~e & g)
      let first = h &+ (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) &+ choice &+ constants[t] &+ schedule[t]
      let majority = (a & b) ^ (a & c) ^ (b & c)
      let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) &+ majority
      (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
    }
    for (i, value) in [a, b, c, d, e, f, g, h].enumerated() { state[i] = state[i] &+ value }
  }
  return state.map { String(format: "%08x", $0) }.joined()
}

private let primes = (2..<312).filter { n in (2..<n).allSatisfy { n % $0 != 0 } }
private let constants = primes.prefix(64).map { fraction(of: cbrt(Double($0))) }

/// The first 32 bits behind the point.
private func fraction(of value: Double) -> UInt32 {
  UInt32((value - value.rounded(.down)) * 4_294_967_296)
}

private func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 {
  value >> count | value << (32 - count)
}
