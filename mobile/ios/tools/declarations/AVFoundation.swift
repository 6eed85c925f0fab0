// Declarations of what the app uses of AVFAudio and AVFoundation, for checking types where there is no Apple SDK.
@_exported import Foundation

public typealias AVAudioFrameCount = UInt32
public typealias AVAudioFramePosition = Int64
public typealias AVAudioChannelCount = UInt32
public typealias AVAudioNodeBus = Int
public typealias AVAudioNodeTapBlock = @Sendable (AVAudioPCMBuffer, AVAudioTime) -> Void

public let AVFormatIDKey = ""
public let AVSampleRateKey = ""
public let AVNumberOfChannelsKey = ""
public let kAudioFormatMPEG4AAC: UInt32 = 0
public let AVAudioSessionInterruptionTypeKey = ""
public let AVAudioSessionRouteChangeReasonKey = ""

open class AVAudioFormat: NSObject {
  public var sampleRate: Double { fatalError() }
  public var channelCount: AVAudioChannelCount { fatalError() }
  public var settings: [String: Any] { fatalError() }
}

open class AVAudioBuffer: NSObject {
  public var format: AVAudioFormat { fatalError() }
}

open class AVAudioPCMBuffer: AVAudioBuffer {
  public init?(pcmFormat format: AVAudioFormat, frameCapacity: AVAudioFrameCount) { fatalError() }
  public var frameLength: AVAudioFrameCount {
    get { fatalError() }
    set { fatalError() }
  }
  public var floatChannelData: UnsafePointer<UnsafeMutablePointer<Float>>? { fatalError() }
}

open class AVAudioTime: NSObject {}

open class AVAudioFile: NSObject {
  public init(forReading fileURL: URL) throws { fatalError() }
  public init(forWriting fileURL: URL, settings: [String: Any]) throws { fatalError() }
  public var processingFormat: AVAudioFormat { fatalError() }
  public var length: AVAudioFramePosition { fatalError() }
  public var framePosition: AVAudioFramePosition {
    get { fatalError() }
    set { fatalError() }
  }
  public func read(into buffer: AVAudioPCMBuffer, frameCount frames: AVAudioFrameCount) throws { fatalError() }
  public func write(from buffer: AVAudioPCMBuffer) throws { fatalError() }
}

open class AVAudioNode: NSObject {
  public func outputFormat(forBus bus: AVAudioNodeBus) -> AVAudioFormat { fatalError() }
  public func installTap(
    onBus bus: AVAudioNodeBus, bufferSize: AVAudioFrameCount, format: AVAudioFormat?,
    block tapBlock: @escaping AVAudioNodeTapBlock
  ) { fatalError() }
  public func removeTap(onBus bus: AVAudioNodeBus) { fatalError() }
}

open class AVAudioInputNode: AVAudioNode {}

open class AVAudioEngine: NSObject {
  public override init() { fatalError() }
  public var inputNode: AVAudioInputNode { fatalError() }
  public func prepare() { fatalError() }
  public func start() throws { fatalError() }
  public func stop() { fatalError() }
}

open class AVAudioPlayer: NSObject {
  public init(contentsOf url: URL) throws { fatalError() }
  @discardableResult public func prepareToPlay() -> Bool { fatalError() }
  @discardableResult public func play() -> Bool { fatalError() }
  public func pause() { fatalError() }
  public func stop() { fatalError() }
  public var isPlaying: Bool { fatalError() }
  public var duration: TimeInterval { fatalError() }
  public var currentTime: TimeInterval {
    get { fatalError() }
    set { fatalError() }
  }
}

open class AVAudioSession: NSObject, @unchecked Sendable {
  public struct Category: Sendable {
    public static let record = Category()
    public static let playback = Category()
  }
  public struct Mode: Sendable {
    public static let `default` = Mode()
    public static let measurement = Mode()
  }
  public struct CategoryOptions: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
  }
  public struct SetActiveOptions: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
    public static let notifyOthersOnDeactivation = SetActiveOptions(rawValue: 1)
  }
  public enum InterruptionType: UInt, Sendable { case began = 1, ended = 0 }
  public enum RouteChangeReason: UInt, Sendable {
    case unknown, newDeviceAvailable, oldDeviceUnavailable, categoryChange, override
  }
  public static let interruptionNotification = Notification.Name("")
  public static let routeChangeNotification = Notification.Name("")
  public static let mediaServicesWereResetNotification = Notification.Name("")

  public class func sharedInstance() -> AVAudioSession { fatalError() }
  public func setCategory(_ category: Category) throws { fatalError() }
  public func setCategory(_ category: Category, mode: Mode, options: CategoryOptions = []) throws { fatalError() }
  public func setActive(_ active: Bool, options: SetActiveOptions = []) throws { fatalError() }
  public func requestRecordPermission(_ response: @escaping (Bool) -> Void) { fatalError() }
}

public class AVAsyncProperty<Root, Value> {
  init() {}
}
extension AVAsyncProperty where Root == AVAsset, Value == Bool {
  public static var hasProtectedContent: AVAsyncProperty<AVAsset, Bool> { fatalError() }
}
open class AVAsset: NSObject {
  public func load<Value>(_ property: AVAsyncProperty<AVAsset, Value>) async throws -> Value { fatalError() }
}
open class AVURLAsset: AVAsset {
  public init(url: URL, options: [String: Any]? = nil) { fatalError() }
}

// Foundation's, of Apple's systems alone.
open class NSFileCoordinator: NSObject {
  public struct ReadingOptions: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
    public static let withoutChanges = ReadingOptions(rawValue: 1)
  }
  public func coordinate(
    readingItemAt url: URL, options: ReadingOptions = [], error outError: UnsafeMutablePointer<NSError?>?,
    byAccessor reader: (URL) -> Void
  ) { fatalError() }
}
extension URL {
  public func startAccessingSecurityScopedResource() -> Bool { fatalError() }
  public func stopAccessingSecurityScopedResource() { fatalError() }
}
