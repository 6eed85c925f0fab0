// Declarations of what the app uses of SwiftUI, for checking types where there is no Apple SDK.
@_exported import Combine
@_exported import Foundation
import UniformTypeIdentifiers

@MainActor @preconcurrency public protocol View {
  associatedtype Body: View
  @ViewBuilder var body: Body { get }
}
extension Never: View {
  public var body: Never { fatalError() }
}
public protocol Leaf: View where Body == Never {}
extension Leaf {
  public var body: Never { fatalError() }
}

@resultBuilder
public struct ViewBuilder {
  public static func buildBlock() -> EmptyView { fatalError() }
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> TupleView<(repeat each Content)>
  {
    fatalError()
  }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { fatalError() }
  public static func buildExpression<Content: View>(_ content: Content) -> Content { fatalError() }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { fatalError() }
  public static func buildEither<A: View, B: View>(first: A) -> ConditionalView<A, B> { fatalError() }
  public static func buildEither<A: View, B: View>(second: B) -> ConditionalView<A, B> { fatalError() }
}
public struct EmptyView: Leaf {}
public struct TupleView<T>: Leaf {}
public struct ConditionalView<A, B>: Leaf {}
public struct Modified: Leaf {}
extension Optional: View where Wrapped: View {
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  init()
  @SceneBuilder var body: Body { get }
}
extension App {
  public static func main() { fatalError() }
}
@MainActor @preconcurrency public protocol Scene {}
@resultBuilder
public struct SceneBuilder {
  public static func buildBlock<S: Scene>(_ scene: S) -> S { fatalError() }
}
public struct WindowGroup<Content: View>: Scene {
  public init(@ViewBuilder content: () -> Content) { fatalError() }
}

@MainActor @preconcurrency @propertyWrapper public struct State<Value> {
  public init(wrappedValue: Value) { fatalError() }
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set { fatalError() }
  }
  public var projectedValue: Binding<Value> { fatalError() }
}
@MainActor @preconcurrency @propertyWrapper @dynamicMemberLookup public struct Binding<Value> {
  public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) { fatalError() }
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set { fatalError() }
  }
  public var projectedValue: Binding<Value> { fatalError() }
  public subscript<Subject>(dynamicMember keyPath: WritableKeyPath<Value, Subject>) -> Binding<Subject> { fatalError() }
}
@dynamicMemberLookup public struct ObjectWrapper<Object: ObservableObject> {
  public subscript<Subject>(dynamicMember keyPath: ReferenceWritableKeyPath<Object, Subject>) -> Binding<Subject> {
    fatalError()
  }
}
@MainActor @preconcurrency @propertyWrapper public struct StateObject<Object: ObservableObject> {
  public init(wrappedValue thunk: @autoclosure @escaping () -> Object) { fatalError() }
  public var wrappedValue: Object { fatalError() }
  public var projectedValue: ObjectWrapper<Object> { fatalError() }
}
@MainActor @preconcurrency @propertyWrapper public struct EnvironmentObject<Object: ObservableObject> {
  public init() { fatalError() }
  public var wrappedValue: Object { fatalError() }
  public var projectedValue: ObjectWrapper<Object> { fatalError() }
}

public enum ScenePhase: Sendable { case background, inactive, active }
public struct EnvironmentValues {
  public var scenePhase: ScenePhase { fatalError() }
}
@MainActor @preconcurrency @propertyWrapper public struct Environment<Value> {
  public init(_ keyPath: KeyPath<EnvironmentValues, Value>) { fatalError() }
  public var wrappedValue: Value { fatalError() }
}

public struct LocalizedStringKey: ExpressibleByStringInterpolation, Equatable {
  public init(stringLiteral value: String) { fatalError() }
}
public struct Text: Leaf {
  public init(_ key: LocalizedStringKey) { fatalError() }
  @_disfavoredOverload public init<S: StringProtocol>(_ content: S) { fatalError() }
  public init(verbatim content: String) { fatalError() }
  public func font(_ font: Font?) -> Text { fatalError() }
  public func monospacedDigit() -> Text { fatalError() }
}
public struct Label: Leaf {
  public init(_ titleKey: LocalizedStringKey, systemImage name: String) { fatalError() }
  @_disfavoredOverload public init<S: StringProtocol>(_ title: S, systemImage name: String) { fatalError() }
}
public struct Image: Leaf {
  public init(systemName: String) { fatalError() }
}
public struct Spacer: Leaf {
  public init() { fatalError() }
}
public struct Rectangle: Leaf, Shape {
  public init() { fatalError() }
}
public protocol Shape {}
public struct Link: Leaf {
  public init(_ titleKey: LocalizedStringKey, destination: URL) { fatalError() }
}
public struct ShareLink<Label: View>: Leaf {
  public init(item: URL, @ViewBuilder label: () -> Label) { fatalError() }
}
public struct LabeledContent<Content: View>: Leaf {
  public init(_ titleKey: LocalizedStringKey, @ViewBuilder content: () -> Content) { fatalError() }
}
public struct ButtonRole: Equatable, Sendable {
  public static let cancel = ButtonRole()
}
public struct Button<Label: View>: Leaf {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Label) { fatalError() }
  public init(role: ButtonRole?, action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Label) {
    fatalError()
  }
}
extension Button where Label == Text {
  public init(_ titleKey: LocalizedStringKey, action: @escaping @MainActor () -> Void) { fatalError() }
  public init(_ titleKey: LocalizedStringKey, role: ButtonRole?, action: @escaping @MainActor () -> Void) {
    fatalError()
  }
}
public struct ProgressView<Label: View>: Leaf {
  public init(@ViewBuilder label: () -> Label) { fatalError() }
  public init<V: BinaryFloatingPoint>(value: V?, total: V = 1, @ViewBuilder label: () -> Label) { fatalError() }
}
public struct Picker<Value: Hashable, Content: View>: Leaf {
  public init(_ titleKey: LocalizedStringKey, selection: Binding<Value>, @ViewBuilder content: () -> Content) {
    fatalError()
  }
}
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: Leaf {
  public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content) {
    fatalError()
  }
}

public enum HorizontalAlignment: Sendable { case leading, center, trailing }
public enum VerticalAlignment: Sendable { case top, center, bottom }
public enum Alignment: Sendable { case leading, center, trailing, top, bottom }
public enum TextAlignment: Sendable { case leading, center, trailing }
public struct VStack<Content: View>: Leaf {
  public init(alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {
    fatalError()
  }
}
public struct HStack<Content: View>: Leaf {
  public init(alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {
    fatalError()
  }
}
public struct ScrollView<Content: View>: Leaf {
  public init(@ViewBuilder content: () -> Content) { fatalError() }
}
public struct Form<Content: View>: Leaf {
  public init(@ViewBuilder content: () -> Content) { fatalError() }
}
public struct Section<Content: View, Footer: View>: Leaf {
  public init(@ViewBuilder content: () -> Content, @ViewBuilder footer: () -> Footer) { fatalError() }
}
extension Section where Footer == EmptyView {
  public init(@ViewBuilder content: () -> Content) { fatalError() }
  public init(_ titleKey: LocalizedStringKey, @ViewBuilder content: () -> Content) { fatalError() }
}
public struct NavigationStack<Root: View>: Leaf {
  public init(@ViewBuilder root: () -> Root) { fatalError() }
}
public struct NavigationLink<Label: View, Destination: View>: Leaf {
  public init(@ViewBuilder destination: () -> Destination, @ViewBuilder label: () -> Label) { fatalError() }
}
public struct GeometryProxy {
  public var size: CGSize { fatalError() }
}
public struct GeometryReader<Content: View>: Leaf {
  public init(@ViewBuilder content: @escaping (GeometryProxy) -> Content) { fatalError() }
}

public struct Color: Leaf, Sendable, ShapeStyle {
  public static var secondary: Color { fatalError() }
  public static var primary: Color { fatalError() }
  public static var orange: Color { fatalError() }
  public static var accentColor: Color { fatalError() }
  public func opacity(_ opacity: Double) -> Color { fatalError() }
}
public protocol ShapeStyle: Sendable {}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
  public static var secondary: HierarchicalShapeStyle { fatalError() }
}
public struct Font: Sendable {
  public static var largeTitle: Font { fatalError() }
  public static var title3: Font { fatalError() }
  public static var subheadline: Font { fatalError() }
  public static var callout: Font { fatalError() }
  public static var footnote: Font { fatalError() }
  public static var caption: Font { fatalError() }
  public func bold() -> Font { fatalError() }
  public func monospacedDigit() -> Font { fatalError() }
}

public struct StrokeStyle: Sendable {
  public init(lineWidth: CGFloat = 1, dash: [CGFloat] = []) { fatalError() }
}
public struct Path: Sendable {
  public init() { fatalError() }
  public init(ellipseIn rect: CGRect) { fatalError() }
  public init(roundedRect rect: CGRect, cornerRadius: CGFloat) { fatalError() }
  public mutating func move(to point: CGPoint) { fatalError() }
  public mutating func addLine(to point: CGPoint) { fatalError() }
  public mutating func addLines(_ lines: [CGPoint]) { fatalError() }
}
public struct GraphicsContext {
  public struct Shading: Sendable {
    public static func color(_ color: Color) -> Shading { fatalError() }
  }
  public func fill(_ path: Path, with shading: Shading) { fatalError() }
  public func stroke(_ path: Path, with shading: Shading, lineWidth: CGFloat = 1) { fatalError() }
  public func stroke(_ path: Path, with shading: Shading, style: StrokeStyle) { fatalError() }
}
public struct Canvas: Leaf {
  public typealias Renderer = (inout GraphicsContext, CGSize) -> Void  // codespell:ignore inout
  public init(renderer: @escaping Renderer) { fatalError() }
}
public protocol Gesture {}
public struct DragGesture: Gesture {
  public struct Value {
    public var location: CGPoint { fatalError() }
  }
  public init(minimumDistance: CGFloat = 10) { fatalError() }
  public func onChanged(_ action: @escaping @MainActor (Value) -> Void) -> some Gesture { self }
}

public enum ContentMode: Sendable { case fit, fill }
public enum ControlSize: Sendable { case regular, large }
public struct BorderedButtonStyle: PrimitiveButtonStyle {}
public protocol PrimitiveButtonStyle {}
extension PrimitiveButtonStyle where Self == BorderedButtonStyle {
  public static var bordered: BorderedButtonStyle { fatalError() }
}
public enum Edge {
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let horizontal = Set(rawValue: 1)
    public static let all = Set(rawValue: 3)
  }
}
public struct AccessibilityTraits: Sendable {
  public static let isHeader = AccessibilityTraits()
}
public struct AccessibilityChildBehavior: Sendable {
  public static let ignore = AccessibilityChildBehavior()
  public static let combine = AccessibilityChildBehavior()
}
public enum AccessibilityAdjustmentDirection: Sendable { case increment, decrement }
public protocol ToolbarContent {}
@resultBuilder
public struct ToolbarContentBuilder {
  public static func buildBlock<C: ToolbarContent>(_ content: C) -> C { fatalError() }
}
public struct ToolbarItemPlacement: Sendable {
  public static let navigationBarTrailing = ToolbarItemPlacement()
}
public struct ToolbarItem<Content: View>: ToolbarContent {
  public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) { fatalError() }
}

extension View {
  public func environmentObject<T: ObservableObject>(_ object: T) -> some View { Modified() }
  public func padding() -> some View { Modified() }
  public func padding(_ edges: Edge.Set, _ length: CGFloat?) -> some View { Modified() }
  public func offset(x: CGFloat = 0, y: CGFloat = 0) -> some View { Modified() }
  public func frame(width: CGFloat? = nil, height: CGFloat? = nil, alignment: Alignment = .center) -> some View {
    Modified()
  }
  public func frame(
    minWidth: CGFloat? = nil, maxWidth: CGFloat? = nil, minHeight: CGFloat? = nil, alignment: Alignment = .center
  ) -> some View { Modified() }
  public func aspectRatio(_ ratio: CGFloat?, contentMode: ContentMode) -> some View { Modified() }
  public func overlay<V: View>(alignment: Alignment = .center, @ViewBuilder content: () -> V) -> some View {
    Modified()
  }
  public func font(_ font: Font?) -> some View { Modified() }
  public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { Modified() }
  public func lineLimit(_ number: Int?) -> some View { Modified() }
  public func multilineTextAlignment(_ alignment: TextAlignment) -> some View { Modified() }
  public func disabled(_ disabled: Bool) -> some View { Modified() }
  public func tag<V: Hashable>(_ tag: V) -> some View { Modified() }
  public func buttonStyle<S: PrimitiveButtonStyle>(_ style: S) -> some View { Modified() }
  public func controlSize(_ size: ControlSize) -> some View { Modified() }
  public func contentShape<S: Shape>(_ shape: S) -> some View { Modified() }
  public func gesture<G: Gesture>(_ gesture: G) -> some View { Modified() }
  public func navigationTitle(_ titleKey: LocalizedStringKey) -> some View { Modified() }
  public func toolbar<C: ToolbarContent>(@ToolbarContentBuilder content: () -> C) -> some View { Modified() }
  public func onDisappear(perform action: (() -> Void)? = nil) -> some View { Modified() }
  public func onChange<V: Equatable>(of value: V, perform action: @escaping (V) -> Void) -> some View { Modified() }
  public func fileImporter(
    isPresented: Binding<Bool>, allowedContentTypes: [UTType], onCompletion: @escaping (Result<URL, any Error>) -> Void
  ) -> some View { Modified() }
  public func accessibilityElement(children: AccessibilityChildBehavior = .ignore) -> some View { Modified() }
  public func accessibilityLabel(_ label: Text) -> some View { Modified() }
  public func accessibilityValue(_ value: Text) -> some View { Modified() }
  public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { Modified() }
  public func accessibilityHidden(_ hidden: Bool) -> some View { Modified() }
  public func accessibilityAdjustableAction(
    _ handler: @escaping (AccessibilityAdjustmentDirection) -> Void
  ) -> some View { Modified() }
}

// UIKit's.
@MainActor open class UIApplication {
  public nonisolated static let openSettingsURLString = ""
  public class var shared: UIApplication { fatalError() }
  public var isIdleTimerDisabled: Bool {
    get { fatalError() }
    set { fatalError() }
  }
}
