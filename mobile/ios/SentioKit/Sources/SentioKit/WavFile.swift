import Foundation

/// Blocks of a WAV file (PCM of 8 to 32 bits, or float), for tools and tests: phones decode with AVFoundation.
public struct WavFile: SoundSource {
  public let sampleRate: Double
  public let channels: Int
  private let bits: Int
  private let float: Bool
  private let file: FileHandle
  private var left: Int  // bytes

  /// - Throws: `SentioError` for a file that cannot be read, or is no such WAV file.
  public init(_ url: URL) throws {
    guard let file = try? FileHandle(forReadingFrom: url) else {
      throw SentioError("the file cannot be read; check its name")
    }
    guard let head = try? file.read(upToCount: 12), head.count == 12, head[0..<4].elementsEqual("RIFF".utf8),
      head[8..<12].elementsEqual("WAVE".utf8)
    else {
      throw SentioError("expected a WAV file, received another one; convert it")
    }
    var format: (code: Int, channels: Int, rate: Int, bits: Int)?
    while let chunk = try? file.read(upToCount: 8), chunk.count == 8 {
      let size = chunk.little(at: 4, bytes: 4)
      if chunk[0..<4].elementsEqual("data".utf8) {
        guard let format else { break }
        let known = format.code == 3 ? format.bits == 32 : format.code == 1 && [8, 16, 24, 32].contains(format.bits)
        guard known, format.channels > 0, format.rate > 0 else {
          throw SentioError(
            "expected PCM of 8 to 32 bits or float of 32, received format \(format.code) of \(format.bits) bits; "
              + "convert the file")
        }
        (channels, bits, float) = (format.channels, format.bits, format.code == 3)
        sampleRate = Double(format.rate)
        self.file = file
        left = size
        return
      }
      guard let body = try? file.read(upToCount: size + size % 2), body.count >= size else { break }
      if chunk[0..<4].elementsEqual("fmt ".utf8), size >= 16 {
        var code = body.little(at: 0, bytes: 2)
        if code == 0xFFFE, size >= 26 { code = body.little(at: 24, bytes: 2) }  // extensible: the code is behind
        format = (code, body.little(at: 2, bytes: 2), body.little(at: 4, bytes: 4), body.little(at: 14, bytes: 2))
      }
    }
    throw SentioError("the WAV file is cut short or damaged; get it again")
  }

  public mutating func next() throws -> [[Float]]? {
    let frame = channels * bits / 8
    let wanted = min(left, 32768 * frame)
    guard wanted >= frame, let bytes = try? file.read(upToCount: wanted), bytes.count >= frame else { return nil }
    left -= bytes.count
    let frames = bytes.count / frame
    var found = [[Float]](repeating: [Float](repeating: 0, count: frames), count: channels)
    bytes.withUnsafeBytes { raw in
      for i in 0..<frames {
        for channel in 0..<channels { found[channel][i] = sample(raw, at: i * frame + channel * bits / 8) }
      }
    }
    return found
  }

  private func sample(_ raw: UnsafeRawBufferPointer, at place: Int) -> Float {
    func load<T: FixedWidthInteger>(_ type: T.Type) -> T {
      T(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: type))
    }
    switch (bits, float) {
    case (8, _): return (Float(raw[place]) - 128) / 128
    case (16, _): return Float(load(Int16.self)) / 32768
    case (24, _):
      let value = Int32(raw[place]) << 8 | Int32(raw[place + 1]) << 16 | Int32(raw[place + 2]) << 24
      return Float(value) / 2_147_483_648
    case (_, true): return Float(bitPattern: load(UInt32.self))
    default: return Float(load(Int32.self)) / 2_147_483_648
    }
  }
}

extension Data {
  fileprivate func little(at place: Int, bytes: Int) -> Int {
    (0..<bytes).reduce(0) { $0 | Int(self[startIndex + place + $1]) << (8 * $1) }
  }
}
