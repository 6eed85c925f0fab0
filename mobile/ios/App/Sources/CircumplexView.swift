import SentioKit
import SwiftUI

/// The circle of valence and arousal with the song's way through it.
struct CircumplexView: View {
  let timeline: Timeline
  let answer: Song
  let current: Segment?

  var body: some View {
    VStack(spacing: 4) {
      Text(verbatim: Circumplex.arousalAxis.high)
      Canvas { context, size in
        draw(context, CircumplexGeometry(side: min(size.width, size.height), inset: 8))
      }
      .aspectRatio(1, contentMode: .fit)
      .overlay(alignment: .leading) { word(Circumplex.valenceAxis.low) }
      .overlay(alignment: .trailing) { word(Circumplex.valenceAxis.high) }
      Text(verbatim: Circumplex.arousalAxis.low)
    }
    .font(.caption)
    .foregroundStyle(.secondary)
    .frame(maxWidth: 440)
    .accessibilityElement(children: .ignore)
    .accessibilityLabel(Text("Circumplex"))
    .accessibilityValue(Text(verbatim: Texts.spoken(answer)))
  }

  /// Just above the axis whose end it names.
  private func word(_ text: String) -> some View {
    Text(verbatim: text)
      .padding(.horizontal, 14)
      .offset(y: -12)
  }

  private func draw(_ context: GraphicsContext, _ geometry: CircumplexGeometry) {
    let rim = geometry.rim
    context.fill(Path(ellipseIn: rim), with: .color(Color.secondary.opacity(0.08)))
    context.stroke(Path(ellipseIn: rim), with: .color(Color.secondary.opacity(0.5)), lineWidth: 1)
    var axes = Path()
    axes.move(to: CGPoint(x: rim.minX, y: rim.midY))
    axes.addLine(to: CGPoint(x: rim.maxX, y: rim.midY))
    axes.move(to: CGPoint(x: rim.midX, y: rim.minY))
    axes.addLine(to: CGPoint(x: rim.midX, y: rim.maxY))
    context.stroke(axes, with: .color(Color.secondary.opacity(0.35)), lineWidth: 1)

    if let ellipse = geometry.ellipse(answer) {
      context.stroke(
        Path(ellipseIn: ellipse), with: .color(Color.accentColor.opacity(0.6)),
        style: StrokeStyle(lineWidth: 1, dash: [4, 4]))
    }
    let places = geometry.trajectory(timeline.segments)
    var way = Path()
    way.addLines(places)
    context.stroke(way, with: .color(Color.accentColor.opacity(0.5)), lineWidth: 2)
    for place in places { dot(context, place, 3, Color.accentColor.opacity(0.6)) }
    dot(context, geometry.place(valence: answer.valence, arousal: answer.arousal), 8, Color.accentColor)
    if let current {
      dot(context, geometry.place(valence: current.valence, arousal: current.arousal), 6, Color.orange)
    }
  }

  private func dot(_ context: GraphicsContext, _ place: CGPoint, _ radius: CGFloat, _ color: Color) {
    let frame = CGRect(x: place.x - radius, y: place.y - radius, width: 2 * radius, height: 2 * radius)
    context.fill(Path(ellipseIn: frame), with: .color(color))
  }
}
