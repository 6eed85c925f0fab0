import Foundation

/// A metadata entry of a `.tflite`, as bytes; nil if there is no such entry.
///
/// - Throws: `SentioError` for a file that is no TFLite model, or is cut short.
public func readMetadata(of file: Data, name: String) throws -> Data? {
  let place = try metadataRange(of: file, name: name)
  return place.map { file[(file.startIndex + $0.lowerBound)..<(file.startIndex + $0.upperBound)] }
}

/// Place of the entry's bytes in the file, see `readMetadata`.
func metadataRange(of file: Data, name: String) throws -> Range<Int>? {
  let tables = Tables(bytes: [UInt8](file))
  guard tables.bytes.count >= 8, tables.bytes[4..<8].elementsEqual("TFL3".utf8) else {
    throw SentioError("expected a TFLite model, received a file that is none; choose a .tflite of sentio-tf export")
  }
  do {
    return try tables.entry(named: name)
  } catch is OutOfBounds {
    throw SentioError("the TFLite model is cut short or damaged; get it again")
  }
}

private struct OutOfBounds: Error {}

/// Tables of a flatbuffer; fields by their number in TFLite's schema.
private struct Tables {
  let bytes: [UInt8]

  func entry(named name: String) throws -> Range<Int>? {
    let (buffersOfModel, metadataOfModel) = (4, 6)
    let (nameOfEntry, bufferOfEntry) = (0, 1)
    let dataOfBuffer = 0
    let model = try indirect(0)
    let entries = try vector(model, metadataOfModel)
    guard entries.length <= bytes.count / 4 else { throw OutOfBounds() }
    for i in 0..<entries.length {
      let entry = try indirect(entries.start + 4 * i)
      guard try bytes[range(vector(entry, nameOfEntry))].elementsEqual(name.utf8) else { continue }
      let place = try field(entry, bufferOfEntry)
      let index = try place == 0 ? 0 : uint32(place)
      let buffers = try vector(model, buffersOfModel)
      guard index < buffers.length else { throw OutOfBounds() }
      return try range(vector(indirect(buffers.start + 4 * index), dataOfBuffer))
    }
    return nil
  }

  private func range(_ vector: (start: Int, length: Int)) throws -> Range<Int> {
    guard vector.start >= 0, vector.start + vector.length <= bytes.count else { throw OutOfBounds() }
    return vector.start..<(vector.start + vector.length)
  }

  private func vector(_ table: Int, _ number: Int) throws -> (start: Int, length: Int) {
    let at = try field(table, number)
    if at == 0 { return (0, 0) }
    let place = try indirect(at)
    return (place + 4, try uint32(place))
  }

  /// Place of a field of the table at `table`, 0 if it is absent.
  private func field(_ table: Int, _ number: Int) throws -> Int {
    let layout = table - Int(Int32(truncatingIfNeeded: try uint32(table)))
    let entry = 4 + 2 * number
    if entry >= (try uint16(layout)) { return 0 }
    let offset = try uint16(layout + entry)
    return offset == 0 ? 0 : table + offset
  }

  private func indirect(_ at: Int) throws -> Int { at + (try uint32(at)) }

  private func uint16(_ at: Int) throws -> Int {
    guard at >= 0, at + 2 <= bytes.count else { throw OutOfBounds() }
    return Int(bytes[at]) | Int(bytes[at + 1]) << 8
  }

  private func uint32(_ at: Int) throws -> Int {
    try uint16(at) | uint16(at + 2) << 16
  }
}
