import Foundation

/// Quadrant and mood word of a point on Russell's circumplex; valence and arousal in [-1, 1].
public enum Circumplex {
  /// What the ends of the axes mean.
  public static let valenceAxis = (low: "unpleasant", high: "pleasant")
  public static let arousalAxis = (low: "calm", high: "energetic")

  /// Eight sectors of 45 degrees, counter-clockwise from pleasant; weak and strong words (Russell 1980).
  public static let sectors = [
    (weak: "pleasant", strong: "happy"),
    (weak: "upbeat", strong: "excited"),
    (weak: "lively", strong: "energetic"),
    (weak: "restless", strong: "tense"),
    (weak: "uneasy", strong: "distressed"),
    (weak: "wistful", strong: "sad"),
    (weak: "quiet", strong: "drowsy"),
    (weak: "relaxed", strong: "serene"),
  ]
  public static let neutralRadius = 0.1
  public static let strongRadius = 0.35

  /// Q1 (+,+), Q2 (-,+), Q3 (-,-) or Q4 (+,-); exactly 0 counts as negative.
  public static func quadrant(valence: Double, arousal: Double) -> String {
    if arousal > 0 { return valence > 0 ? "Q1" : "Q2" }
    return valence > 0 ? "Q4" : "Q3"
  }

  /// A word for the point; neutral near the centre.
  public static func mood(valence: Double, arousal: Double) -> String {
    let radius = hypot(valence, arousal)
    if radius < neutralRadius { return "neutral" }
    let degrees = atan2(arousal, valence) * 180 / .pi + 22.5
    let sector = sectors[Int((degrees + 360).truncatingRemainder(dividingBy: 360) / 45)]
    return radius >= strongRadius ? sector.strong : sector.weak
  }
}
