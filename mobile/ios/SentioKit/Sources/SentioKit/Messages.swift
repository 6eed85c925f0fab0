/// What an app tells a user when sound cannot be had; each one line, with what to do.
public enum Messages {
  public static let microphoneDenied =
    "sentio may not use the microphone; allow it in Settings, or choose a song instead"
  public static let microphoneBusy =
    "the microphone is in use; end the call or the other recording, then try again"
  public static let noMicrophone = "no microphone was found; connect one, or choose a song instead"
  public static let interrupted = "the recording was interrupted; what was heard until then is judged"
  public static let routeChanged = "another microphone took over and ended the recording; what was heard is judged"
  public static let protected =
    "the song is protected against copying and cannot be read; choose a file without protection"
  public static let noModel = "the app was built without its model; build it again, or install it again"

  /// - Parameter reason: what the system says of it.
  public static func unreadable(_ name: String, _ reason: String) -> String {
    "\(name) cannot be read as sound (\(reason)); choose an mp3, m4a, wav or flac file"
  }

  public static func breaksOff(_ name: String, atS seconds: Double) -> String {
    "\(name) is damaged after \(Texts.time(seconds)); get it again"
  }

  /// While the first window is not heard yet.
  public static func heard(_ seconds: Double, ofS window: Double) -> String {
    "\(Texts.time(seconds)) of \(Texts.time(window)) until the first answer"
  }
}
