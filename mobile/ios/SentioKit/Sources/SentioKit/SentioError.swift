import Foundation

/// What a user can do something about; `message` is one line that says what.
public struct SentioError: Error, Equatable, Sendable {
  public let message: String

  public init(_ message: String) {
    self.message = message
  }
}

extension SentioError: LocalizedError {
  public var errorDescription: String? { message }
}
