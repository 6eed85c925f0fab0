/// Channels of one length -> mono: their mean.
public func downmix(_ channels: [[Float]]) -> [Float] {
  guard let first = channels.first else { return [] }
  if channels.count == 1 { return first }
  let share = 1 / Float(channels.count)
  var mono = [Float](repeating: 0, count: first.count)
  for channel in channels {
    precondition(channel.count == mono.count, "channels of one block have one length")
    for i in mono.indices { mono[i] += channel[i] * share }
  }
  return mono
}
