// Declarations of what the app uses of UniformTypeIdentifiers, for checking types where there is no Apple SDK.
public struct UTType: Sendable {
  public static var audio: UTType { fatalError() }
}
