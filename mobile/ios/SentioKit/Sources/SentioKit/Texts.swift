import Foundation

/// Numbers and answers in words, for the screen and for a screen reader.
public enum Texts {
  /// 3:05, or 1:02:07.
  public static func time(_ seconds: Double) -> String {
    let whole = Int(max(0, seconds.isFinite ? seconds : 0))
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, rest) : String(format: "%d:%02d", minutes, rest)
  }

  /// +0.24, with a minus sign as printers set it.
  public static func signed(_ value: Double) -> String {
    let digits = String(format: "%.2f", abs(value))
    if digits == "0.00" { return digits }
    return (value < 0 ? "\u{2212}" : "+") + digits
  }

  /// +0.24 ± 0.12, the second part where it is known.
  public static func value(_ value: Double, std: Double?) -> String {
    guard let std else { return signed(value) }
    return signed(value) + " \u{00B1} " + String(format: "%.2f", std)
  }

  /// 12.3 MB.
  public static func memory(_ bytes: Int) -> String {
    String(format: "%.1f MB", Double(bytes) / 1e6)
  }

  public static func milliseconds(_ ms: Double) -> String {
    String(format: "%.1f ms", ms)
  }

  /// What the circumplex shows, for those who do not see it.
  public static func spoken(_ song: Song) -> String {
    let valence = spoken(song.valence, Circumplex.valenceAxis)
    let arousal = spoken(song.arousal, Circumplex.arousalAxis)
    return "\(song.mood): \(valence), \(arousal)"
  }

  /// What the timeline shows at a moment.
  public static func spoken(_ segment: Segment, atS seconds: Double) -> String {
    let mood = Circumplex.mood(valence: segment.valence, arousal: segment.arousal)
    let valence = spoken(segment.valence, Circumplex.valenceAxis)
    let arousal = spoken(segment.arousal, Circumplex.arousalAxis)
    return "at \(time(seconds)) \(mood): \(valence), \(arousal)"
  }

  /// From where to where a song goes.
  public static func spoken(_ timeline: Timeline) -> String {
    guard let first = timeline.segments.first, let last = timeline.segments.last else { return "nothing judged yet" }
    let moods = [first, last].map { Circumplex.mood(valence: $0.valence, arousal: $0.arousal) }
    let count = timeline.segments.count
    let length = "\(count) \(count == 1 ? "window" : "windows"), \(time(last.endS))"
    if moods[0] == moods[1] { return "\(length), \(moods[0]) at the beginning and at the end" }
    return "\(length), from \(moods[0]) to \(moods[1])"
  }

  private static func spoken(_ value: Double, _ axis: (low: String, high: String)) -> String {
    let share = Int((abs(value) * 100).rounded())
    if share < 5 { return "neither \(axis.low) nor \(axis.high)" }
    return "\(share) percent \(value < 0 ? axis.low : axis.high)"
  }
}
